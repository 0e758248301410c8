// Command discordproxymessage sends a message through a running Discord Proxy.
package main

import (
	"os"

	"discordproxy/cli"
)

func main() { os.Exit(cli.Main(cli.Message)) }
