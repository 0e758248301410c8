package clients

import (
	"testing"

	"discordproxy/test/require"
)

func TestMain(m *testing.M) { require.Main(m) }
