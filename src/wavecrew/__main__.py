"""`python -m wavecrew` is the command `wavecrew`."""

from wavecrew.cli.main import main

if __name__ == "__main__":
    main()
