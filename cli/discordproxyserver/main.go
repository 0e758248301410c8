// Command discordproxyserver lets applications use Discord through one bot.
package main

import (
	"discordproxy/cli"
	"os"
)

func main() { os.Exit(cli.Main(cli.Server)) }
