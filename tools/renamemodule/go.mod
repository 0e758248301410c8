module discordproxy/tools/renamemodule

go 1.26.0
