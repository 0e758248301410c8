"""Client of Discord Proxy, through which applications share a Discord bot."""

__title__ = "Discord Proxy"
__version__ = "2.0.0"
