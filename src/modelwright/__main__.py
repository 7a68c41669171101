"""`python -m modelwright` is `wright`."""

from modelwright.cli import main

main()
