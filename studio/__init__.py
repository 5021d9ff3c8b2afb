"""The application: records, files, durable workflows, bundles. Torch is imported inside the workflows only."""
