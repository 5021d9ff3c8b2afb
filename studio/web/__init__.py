"""The site around the pages: FastAPI application, API, login and four middlewares."""
