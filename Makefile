.PHONY: test fast stress gpu lint format

# The README's test command: installs everything it needs, then lints and runs every test but the long stress forms.
test:
	python -m pip install --quiet -e ".[test]"
	ruff check .
	ruff format --check .
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not stress" --durations 25

# What to run while writing: the tests that take a moment.
fast:
	pytest -n 2 --dist loadfile -m "not slow and not stress" -q

# The long forms: many kills, many damaged inputs.
stress:
	pytest --no-header -m stress

# On a machine with a GPU: fit, mixed precision, resume and export on it.
gpu:
	pytest -m gpu -q

lint:
	ruff check .
	ruff format --check .

format:
	ruff check --fix .
	ruff format .
