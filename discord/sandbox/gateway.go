package sandbox

var gatewayRoutes = []route{
	{method: "GET", template: "/gateway", handle: (*Sandbox).getGateway, open: true, perIP: true},
	{method: "GET", template: "/gateway/bot", handle: (*Sandbox).getGatewayBot},
}

func (s *Sandbox) getGateway(*call) (any, error) {
	return map[string]string{"url": s.config.GatewayURL}, nil
}

func (s *Sandbox) getGatewayBot(*call) (any, error) {
	type startLimit struct {
		Total          int `json:"total"`
		Remaining      int `json:"remaining"`
		ResetAfter     int `json:"reset_after"`
		MaxConcurrency int `json:"max_concurrency"`
	}
	return struct {
		URL    string     `json:"url"`
		Shards int        `json:"shards"`
		Limit  startLimit `json:"session_start_limit"`
	}{s.config.GatewayURL, 1, startLimit{1000, 1000, 0, 1}}, nil
}
