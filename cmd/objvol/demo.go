package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"objvol/objstore/embedded"
)

// demoDriver is the name of the demo's driver: a real one is not disturbed.
const demoDriver = "objvol-demo"

func newDemo() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a volume at work, in two minutes",
		Long: `demo starts a driver of its own, with a state directory of its own, and shows a volume
whose files are objects: one container writes, another reads, curl lists the objects.
Each step is printed as the command that does it. Where no Docker engine runs, curl says
to the driver what an engine would. Nothing stays behind; with --keep everything stays
until Ctrl-C, to try out more.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), cmd.OutOrStdout(), keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave everything running until Ctrl-C")
	return cmd
}

// demo shows all and cleans up, also after an error or a signal.
func demo(ctx context.Context, out io.Writer, keep bool) (err error) {
	if err := demoable(); err != nil {
		return err
	}
	ctx, restore := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer restore()
	context.AfterFunc(ctx, restore) // a second signal ends the process
	engine := hasEngine(ctx)
	s, err := newStage(out)
	if err != nil {
		return err
	}
	defer func() {
		s.close(err)
		if engine {
			// The engine forgets no driver that it has used.
			s.title("Until the engine restarts, \"docker volume ls\" seeks the demo's driver, for 15 s each time")
		}
		if err = errors.Join(err, s.failed); err == nil {
			s.say("demo finished")
		}
	}()
	volume := "demo-" + s.id
	if engine {
		err = s.showContainers(ctx, volume)
	} else {
		err = s.showProtocol(ctx, volume)
	}
	if err == nil {
		err = s.showObjects(ctx, volume)
	}
	if err == nil && keep {
		s.title("All of it stays until Ctrl-C; the commands work in another shell too")
		<-ctx.Done()
	}
	return err
}

// demoable reports what the demo cannot do without.
func demoable() error {
	if os.Geteuid() != 0 {
		return errors.New("the demo mounts a filesystem: run it as root, as in: sudo make demo")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return errors.New("the kernel offers no /dev/fuse here: load it with \"modprobe fuse\"; in a container, run that with --device /dev/fuse --cap-add SYS_ADMIN")
	}
	for _, tool := range []string{"busybox", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the demo needs %s: apt-get install -y busybox-static curl", tool)
		}
	}
	return nil
}

// hasEngine reports whether a Docker engine answers.
func hasEngine(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() == nil
}

// showContainers shares a volume between two containers.
func (s *stage) showContainers(ctx context.Context, volume string) error {
	image := demoDriver + ":" + s.id
	run := fmt.Sprintf("docker run --rm --network none -v %s:/data %s ", volume, image)
	if err := writeImage(s.path("image.tar")); err != nil {
		return err
	}
	s.title("A driver with a name and a state directory of its own")
	if err := s.startDriver(ctx, "/run/docker/plugins/"+demoDriver+".sock"); err != nil {
		return err
	}
	s.title("An image with nothing but busybox")
	if err := s.run(ctx, "docker import image.tar "+image); err != nil {
		return err
	}
	s.atEnd("docker image rm " + image)
	s.title("A volume. Nothing says where an S3 server is, so it lies in the one inside the driver")
	if err := s.run(ctx, "docker volume create -d "+demoDriver+" "+volume); err != nil {
		return err
	}
	s.atEnd("docker volume rm " + volume)
	s.title("One container writes, another reads")
	return s.run(ctx,
		run+"sh -c '"+demoWrite("/data")+"'",
		run+"sh -c '"+demoRead("/data")+"'",
	)
}

// showProtocol says to the driver what an engine would say for two containers.
func (s *stage) showProtocol(ctx context.Context, volume string) error {
	s.title("No Docker engine answers here (this installs one: apt-get install -y docker.io), so curl plays its part")
	if err := s.startDriver(ctx, "plugin.sock"); err != nil {
		return err
	}
	call := func(method, id string) string {
		body := fmt.Sprintf(`{"Name":"%s"}`, volume)
		if id != "" {
			body = fmt.Sprintf(`{"Name":"%s","ID":"%s"}`, volume, id)
		}
		return fmt.Sprintf("curl -sS --fail-with-body --unix-socket plugin.sock -d '%s' http://plugin/VolumeDriver.%s", body, method)
	}
	dir := "state/mnt/" + volume
	s.title("docker volume create")
	if err := s.run(ctx, call("Create", "")); err != nil {
		return err
	}
	s.atEnd(call("Remove", ""))
	s.title("A first container starts, writes and ends")
	if err := s.run(ctx, call("Mount", "writer"), demoWrite(dir), call("Unmount", "writer")); err != nil {
		return err
	}
	s.title("A second one reads; docker volume inspect meanwhile")
	return s.run(ctx, call("Mount", "reader"), demoRead(dir), call("Get", ""), call("Unmount", "reader"))
}

// The commands of the two containers. There is no single quote in them.
func demoWrite(dir string) string {
	return strings.ReplaceAll(`mkdir DIR/dir && echo "this file is an object" > DIR/dir/hello && ln -s dir/hello DIR/link`, "DIR", dir)
}

func demoRead(dir string) string {
	return strings.ReplaceAll(`ls -l DIR && cat DIR/link`, "DIR", dir)
}

// showObjects shows what the store and Prometheus have.
func (s *stage) showObjects(ctx context.Context, volume string) error {
	if err := s.writeCurlConfig(); err != nil {
		return err
	}
	curl := "curl -K curl.conf --unix-socket state/s3/s3.sock --aws-sigv4 aws:amz:" + embedded.Region + ":s3 "
	url := embedded.Endpoint + "/objvol"
	s.title("Any S3 client sees the files as objects; curl.conf has the store's keys")
	if err := s.run(ctx,
		curl+"'"+url+"?list-type=2' | grep -oE '<(Key|Size)>[^<]*'",
		curl+url+"/"+volume+"/dir/hello",
	); err != nil {
		return err
	}
	s.title("What Prometheus is told of it")
	return s.run(ctx, fmt.Sprintf(
		`curl -sS http://%s/metrics | grep -E '^objvol_(call|io|s3_request)_(duration_seconds_count|bytes_total).*"%s"' | grep -v ' 0$'`,
		s.metrics, volume))
}
