"""Every sentence that a person reads, in English and Chinese: the pages' words and the errors' sentences."""
