package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"objvol/driver"
)

// version is set by the linker.
var version = "unknown"

// The exit codes, as help prints them.
const (
	exitOK      = 0
	exitError   = 1
	exitUsage   = 2
	exitPending = 3
)

const exitCodes = `Exit codes:
  0  done
  1  something went wrong; the message says what to do
  2  the command line, a variable or an option is not valid
  3  data is not in the bucket yet; it is safe in the state directory, and the next
     serve or mount of the volume goes on sending it`

func main() {
	err := newRoot().ExecuteContext(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "objvol:", err)
	}
	os.Exit(exitCode(err))
}

// usageError is what the user can only mend on the command line or in the environment.
type usageError struct{ error }

// Unwrap returns the cause.
func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if _, usage := errors.AsType[usageError](err); usage {
		return exitUsage
	}
	if _, pending := errors.AsType[*driver.PendingError](err); pending {
		return exitPending
	}
	return exitError
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "objvol",
		Short: "Docker volumes in object storage",
		Long:  "objvol keeps Docker volumes in object storage: one file is one object.\n\n" + exitCodes,
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServe(), newMount(), newVolume(), newDemo(), newVersion())
	return root
}

// args makes a usage error of what a check of arguments finds.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return usageError{fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}
