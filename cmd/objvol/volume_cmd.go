package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newVolume() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "volume",
		Short: "List, create, inspect and remove the volumes of a running driver",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	for _, sub := range []*cobra.Command{newVolumeList(), newVolumeCreate(), newVolumeInspect(), newVolumeRemove()} {
		addFlags(sub, nil, optStateDir)
		cmd.AddCommand(sub)
	}
	return cmd
}

// withClient runs a command that talks to the driver.
func withClient(run func(cmd *cobra.Command, c client, given []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, given []string) error {
		c, err := readConfig(cmd)
		if err != nil {
			return err
		}
		return run(cmd, newClient(c.StateDir), given)
	}
}

func newVolumeList() *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List all volumes",
		Args:  args(cobra.NoArgs),
		RunE: withClient(func(cmd *cobra.Command, c client, _ []string) error {
			var all []volumeInfo
			if err := c.call(cmd.Context(), pathList, volumeRequest{}, &all); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			_, err := fmt.Fprintln(w, "NAME\tSTATE\tREFERENCES\tPENDING FILES\tPENDING BYTES\tBUCKET\tPREFIX")
			for _, v := range all {
				_, e := fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", v.Name, v.State, v.References, v.PendingFiles, v.PendingBytes, v.Bucket, v.Prefix)
				err = errors.Join(err, e)
			}
			return errors.Join(err, w.Flush())
		}),
	}
}

func newVolumeCreate() *cobra.Command {
	var options []string
	cmd := &cobra.Command{
		Use:   "create VOLUME",
		Short: "Create a volume",
		Args:  args(cobra.ExactArgs(1)),
		RunE: withClient(func(cmd *cobra.Command, c client, given []string) error {
			parsed, err := parseOptions(options)
			if err != nil {
				return usageError{err}
			}
			if err := c.call(cmd.Context(), pathCreate, volumeRequest{given[0], parsed}, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), given[0])
			return err
		}),
	}
	addOptionsFlag(cmd, &options)
	return cmd
}

func newVolumeInspect() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect VOLUME...",
		Short: "Tell all about volumes, as JSON",
		Args:  args(cobra.MinimumNArgs(1)),
		RunE: withClient(func(cmd *cobra.Command, c client, given []string) error {
			all := make([]volumeInfo, len(given))
			for i, name := range given {
				if err := c.call(cmd.Context(), pathInspect, volumeRequest{Name: name}, &all[i]); err != nil {
					return err
				}
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			return out.Encode(all)
		}),
	}
}

func newVolumeRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "rm VOLUME...",
		Short: "Remove volumes; their data stays, unless they were created with on-remove=delete",
		Args:  args(cobra.MinimumNArgs(1)),
		RunE: withClient(func(cmd *cobra.Command, c client, given []string) error {
			var errs []error
			for _, name := range given {
				if err := c.call(cmd.Context(), pathRemove, volumeRequest{Name: name}, nil); err != nil {
					errs = append(errs, err)
					continue
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), name)
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		}),
	}
}
