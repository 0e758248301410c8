// Command discordproxyserver lets applications use Discord through one bot.
package main

import (
	"os"

	"discordproxy/cli"
	"discordproxy/cli/serve"
)

func main() { os.Exit(cli.Main(serve.Command)) }
