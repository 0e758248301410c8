package serve

import (
	"os"
	"path/filepath"
)

// tokenCredential is the name under which systemd can hand over the token.
// https://systemd.io/CREDENTIALS/
const tokenCredential = "discord-bot-token"

// credential returns the file that contains the token: that of the flag, else the
// credential of systemd, or "" without both. A token given directly takes precedence.
func (c *serverConfig) credential() string {
	if folder := os.Getenv("CREDENTIALS_DIRECTORY"); c.tokenFile == "" && folder != "" {
		if path := filepath.Join(folder, tokenCredential); isFile(path) {
			return path
		}
	}
	return c.tokenFile
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
