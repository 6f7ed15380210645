//go:build noembedded

package embedded

import "context"

// Start returns ErrLeftOut.
func Start(context.Context, Options) (*Server, error) { return nil, ErrLeftOut }
