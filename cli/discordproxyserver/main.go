// Command discordproxyserver runs Discord Proxy: it holds the token of a Discord bot and
// lets applications use Discord through it.
package main

import (
	"os"

	"discordproxy/cli"
	"discordproxy/cli/serve"
)

func main() { os.Exit(cli.Main(serve.Command)) }
