"""Parts of pages: forms, cards, pieces of HTML."""
