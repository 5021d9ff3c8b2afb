"""What pyproject.toml has no words for: a wheel carries `assets/`, as a package's files."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["studio*", "personas*", "pipelines*"]), "persona_studio_assets"],
    package_dir={"persona_studio_assets": "assets"},
    package_data={
        "": ["*.json", "*.js", "*.css", "*.mako"],
        "studio.texts": ["errors/*.json"],
        "persona_studio_assets": ["**/*"],
    },
)
