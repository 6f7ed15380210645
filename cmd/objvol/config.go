package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"objvol/driver"
)

// The names of the settings. A new one has four places: its name, its row in settings, its
// field in config and its line in deploy/plugin/config.json; the commands that take it list
// its name.
const (
	optSocket      = "socket"
	optSocketGroup = "socket-group"
	optStateDir    = "state-dir"
	optEndpoint    = "endpoint"
	optRegion      = "region"
	optBucket      = "bucket"
	optPrefix      = "prefix"
	optAccessKey   = "access-key"
	optSecretKey   = "secret-key"
	optToken       = "session-token"
	optKeyFile     = "access-key-file"
	optSecretFile  = "secret-key-file"
	optProfile     = "profile"
	optCredentials = "credentials-file"
	optCACert      = "ca-cert"
	optSkipVerify  = "insecure-skip-verify"
	optCacheSize   = "cache-size"
	optMetricsAddr = "metrics-addr"
	optDebugAddr   = "debug-addr"
	optDiskProbe   = "disk-probe"
	optLogLevel    = "log-level"
	optLogFormat   = "log-format"
	optStopTimeout = "stop-timeout"
)

// setting is one flag --name with its twin OBJVOL_NAME.
type setting struct {
	name    string
	usage   string
	builtIn string
	aws     []string // variables of AWS's tools that say the same, the most particular first
	secret  bool     // no flag: everybody can see those in the list of processes
}

// off switches off what has an address.
const off = "off"

// settings is the one table of what the program can be told. An empty variable counts as
// one that is not there, an empty flag does not: --endpoint= is the embedded store whatever
// the environment says.
var settings = []setting{
	{name: optSocket, builtIn: driver.DefaultSocket, usage: "where the engine finds the driver: its `path` must end in the driver's name and .sock"},
	{name: optSocketGroup, usage: "a `group`, by name or number, that may use the socket beside root"},
	{name: optStateDir, builtIn: "/var/lib/objvol", usage: "the `directory` of everything that survives a restart"},
	{name: optEndpoint, aws: []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}, usage: "the `URL` of the S3 server; none is the embedded store, in the state directory"},
	{name: optRegion, aws: []string{"AWS_REGION", "AWS_DEFAULT_REGION"}, usage: "the `region` of buckets; none asks the server"},
	{name: optBucket, builtIn: "objvol", usage: "the `bucket` of volumes that name none"},
	{name: optPrefix, usage: "the `prefix` that all prefixes of volumes lie below"},
	{name: optAccessKey, secret: true},
	{name: optSecretKey, secret: true},
	{name: optToken, secret: true},
	{name: optKeyFile, usage: "a `file` that holds the access key; it is read again when it changes"},
	{name: optSecretFile, usage: "a `file` that holds the secret key"},
	{name: optProfile, usage: "the `name` of a profile in AWS's files or in the credentials file"},
	{name: optCredentials, usage: "a `file` of credentials in AWS's format or s3fs's; it is read again when it changes"},
	{name: optCACert, aws: []string{"AWS_CA_BUNDLE"}, usage: "a `file` of certificates that are trusted beside the system's"},
	{name: optSkipVerify, usage: "`true` believes any certificate of the server: for tests only"},
	{name: optCacheSize, usage: "`bytes` of clean content that each volume keeps on this host (default 10GiB, 1GiB with the embedded store)"},
	{name: optMetricsAddr, usage: "the `host:port` of /metrics and /healthz, or \"off\""},
	{name: optDebugAddr, usage: "the `host:port` of pprof; none is debug.sock in the state directory"},
	{name: optDiskProbe, builtIn: "15s", usage: "how `often` the disk of the state directory is measured for /metrics, or \"off\""},
	{name: optLogLevel, builtIn: "info", usage: "the least `level` to log: debug, info, warn or error"},
	{name: optLogFormat, builtIn: "text", usage: "the `format` of the log on stderr: text or json"},
	{name: optStopTimeout, builtIn: "60s", usage: "how `long` a stop waits for data to get into the bucket; a managed plugin has 10s in all"},
}

// storeSettings are the flags that say where volumes lie and how they are reached.
var storeSettings = []string{
	optEndpoint, optRegion, optBucket, optPrefix, optKeyFile, optSecretFile, optProfile, optCredentials,
	optCACert, optSkipVerify,
}

// The built-in cache sizes: the embedded store's objects are on the same disk.
const (
	cacheWithEndpoint = "10GiB"
	cacheEmbedded     = "1GiB"
)

// config is all that the program was told, checked.
type config struct {
	Socket      string
	SocketGroup int // a number, or driver.NoGroup
	StateDir    string
	MetricsAddr string        // empty: nowhere
	DebugAddr   string        // empty: on debug.sock
	DiskProbe   time.Duration // between two looks; 0: never
	LogLevel    slog.Level
	LogFormat   string
	StopTimeout time.Duration
	Defaults    driver.Defaults
}

// variable is the name of a setting's twin.
func (s setting) variable() string {
	return "OBJVOL_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// addFlags gives a command the flags of the settings that it takes. builtIn replaces the
// built-in values of some.
func addFlags(cmd *cobra.Command, builtIn map[string]string, names ...string) {
	for _, s := range settings {
		if !slices.Contains(names, s.name) {
			continue
		}
		value := s.builtIn
		if v, ok := builtIn[s.name]; ok {
			value = v
		}
		cmd.Flags().String(s.name, value, s.usage+" ["+s.variable()+"]")
	}
}

// source looks a setting up: the flag if it was given, its variable, AWS's variables, the
// built-in value of the flag or of the setting.
type source struct {
	cmd    *cobra.Command
	getenv func(string) string
}

func (from source) text(name string) string {
	s := settings[slices.IndexFunc(settings, func(s setting) bool { return s.name == name })]
	flag := from.cmd.Flags().Lookup(name)
	if flag != nil && flag.Changed {
		return flag.Value.String()
	}
	for _, variable := range append([]string{s.variable()}, s.aws...) {
		if v := from.getenv(variable); v != "" {
			return v
		}
	}
	if flag != nil {
		return flag.DefValue
	}
	return s.builtIn
}

// readConfig is the configuration of a command that runs. Its errors are usage errors.
func readConfig(cmd *cobra.Command) (config, error) {
	c, err := parseConfig(source{cmd, os.Getenv})
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return config{}, usageError{err}
	}
	return c, nil
}

// parseConfig understands the settings one by one.
func parseConfig(from source) (config, error) {
	c := config{
		Socket:      from.text(optSocket),
		SocketGroup: driver.NoGroup,
		MetricsAddr: address(from.text(optMetricsAddr)),
		DebugAddr:   address(from.text(optDebugAddr)),
		LogFormat:   from.text(optLogFormat),
	}
	var err error
	// The embedded store moves the working directory.
	if c.StateDir, err = filepath.Abs(from.text(optStateDir)); err != nil {
		return c, explain(optStateDir, err)
	}
	if c.Socket, err = filepath.Abs(c.Socket); err != nil {
		return c, explain(optSocket, err)
	}
	if group := from.text(optSocketGroup); group != "" {
		if c.SocketGroup, err = groupID(group); err != nil {
			return c, explain(optSocketGroup, err)
		}
	}
	if err := c.LogLevel.UnmarshalText([]byte(from.text(optLogLevel))); err != nil {
		return c, explain(optLogLevel, errors.New("must be debug, info, warn or error"))
	}
	if every := from.text(optDiskProbe); every != off {
		if c.DiskProbe, err = time.ParseDuration(every); err != nil || c.DiskProbe <= 0 {
			return c, explain(optDiskProbe, fmt.Errorf("%q: write it like 15s, or off", every))
		}
	}
	if c.StopTimeout, err = time.ParseDuration(from.text(optStopTimeout)); err != nil {
		return c, explain(optStopTimeout, fmt.Errorf("%w; write it like 60s or 2m", err))
	}
	c.Defaults, err = parseDefaults(from)
	return c, err
}

// parseDefaults decides what volumes are not told. AWS's own keys are no defaults: the
// store finds them where it needs some.
func parseDefaults(from source) (driver.Defaults, error) {
	d := driver.BuiltIn()
	cache := cacheEmbedded
	if from.text(optEndpoint) != "" {
		cache = cacheWithEndpoint
	}
	if size := from.text(optCacheSize); size != "" {
		cache = size
	}
	for _, name := range append(storeSettings, optAccessKey, optSecretKey, optToken) {
		text := from.text(name)
		if text == "" {
			continue
		}
		if err := d.Set(name, text); err != nil {
			return d, explain(name, err)
		}
	}
	if err := d.Set(optCacheSize, cache); err != nil {
		return d, explain(optCacheSize, err)
	}
	return d, nil
}

// explain says which setting an error is about, by both of its names.
func explain(name string, err error) error {
	s := setting{name: name}
	return fmt.Errorf("--%s or %s: %w", name, s.variable(), err)
}

// Validate reports the first setting that cannot work.
func (c config) Validate() error {
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return explain(optLogFormat, fmt.Errorf("%q: must be text or json", c.LogFormat))
	}
	if c.StopTimeout <= 0 {
		return explain(optStopTimeout, errors.New("must be above zero"))
	}
	if err := validateKeys(c.Defaults.Spec); err != nil {
		return err
	}
	for name, addr := range map[string]string{optMetricsAddr: c.MetricsAddr, optDebugAddr: c.DebugAddr} {
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return explain(name, fmt.Errorf("%w; write it like 127.0.0.1:10469", err))
		}
	}
	return nil
}

// validateKeys checks that the settings name one source of keys, whole.
func validateKeys(spec driver.Spec) error {
	keys, files := spec.AccessKey.IsSet(), spec.AccessKeyFile != ""
	profile := spec.Profile != "" || spec.CredentialsFile != ""
	switch {
	case keys != spec.SecretKey.IsSet():
		return errors.New("OBJVOL_ACCESS_KEY and OBJVOL_SECRET_KEY belong together: set both or neither")
	case files != (spec.SecretKeyFile != ""):
		return errors.New("OBJVOL_ACCESS_KEY_FILE and OBJVOL_SECRET_KEY_FILE belong together: set both or neither")
	case spec.SessionToken.IsSet() && !keys:
		return errors.New("OBJVOL_SESSION_TOKEN belongs to OBJVOL_ACCESS_KEY and OBJVOL_SECRET_KEY: set all three")
	case keys && files, keys && profile, files && profile:
		return errors.New("keys, key files and profile (OBJVOL_ACCESS_KEY, OBJVOL_ACCESS_KEY_FILE, OBJVOL_PROFILE, OBJVOL_CREDENTIALS_FILE) each say where the keys are: set one")
	}
	return nil
}

func address(text string) string {
	if text == off {
		return ""
	}
	return text
}

func groupID(text string) (int, error) {
	if id, err := strconv.ParseUint(text, 10, 31); err == nil {
		return int(id), nil
	}
	g, err := user.LookupGroup(text)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}
