"""Floor 4: the studio in the browser. FastAPI with Gradio pages; knows neither torch nor SQL."""
