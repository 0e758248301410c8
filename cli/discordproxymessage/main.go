// Command discordproxymessage sends a message through a running Discord Proxy.
package main

import (
	"discordproxy/cli"
	"os"
)

func main() { os.Exit(cli.Main(cli.Message)) }
