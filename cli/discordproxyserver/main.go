// Command discordproxyserver lets applications use Discord through one bot.
package main

import (
	"os"

	"discordproxy/cli"
)

func main() { os.Exit(cli.Main(cli.Server)) }
