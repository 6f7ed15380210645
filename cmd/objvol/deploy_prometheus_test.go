package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"objvol/fusefs/mounttest"
	"objvol/objstore/objstoretest"
)

// prometheusFiles is where the files for Prometheus lie.
const prometheusFiles = "../../deploy/prometheus"

// requireProgram skips the test where a program of a Debian package is missing. Where
// OBJVOL_REQUIRE, a list with commas, has the package, it fails instead.
func requireProgram(t *testing.T, program, debian string) {
	t.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case slices.Contains(strings.Split(os.Getenv("OBJVOL_REQUIRE"), ","), debian):
		t.Fatalf("%v; get it with: apt-get install -y %s", err, debian)
	default:
		t.Skipf("%v; get it with: apt-get install -y %s", err, debian)
	}
}

// promtool runs a check, which must have nothing to say against its input.
func promtool(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(within(t, deadline), "promtool", args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestPrometheusRules(t *testing.T) {
	requireProgram(t, "promtool", "prometheus")
	promtool(t, "", "check", "rules", filepath.Join(prometheusFiles, "objvol.rules.yml"))
	promtool(t, "", "check", "config", filepath.Join(prometheusFiles, "prometheus.yml"))
	promtool(t, "", "test", "rules", filepath.Join(prometheusFiles, "objvol.rules.test.yml"))
}

// prometheus is Debian's, with the configuration of deploy/.
type prometheus struct{ url string }

// startPrometheus starts a Prometheus that scrapes a driver each second.
func startPrometheus(t *testing.T, driver string) prometheus {
	t.Helper()
	dir := t.TempDir()
	for name, replace := range map[string][]string{
		"prometheus.yml":   {"127.0.0.1:10469", driver, "interval: 15s", "interval: 1s"},
		"objvol.rules.yml": nil,
	} {
		text, err := os.ReadFile(filepath.Join(prometheusFiles, name))
		if err != nil {
			t.Fatal(err)
		}
		err = os.WriteFile(filepath.Join(dir, name), []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	listen, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	said := &output{}
	cmd := exec.Command("prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", listen)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("prometheus: %s", said)
		}
	})
	p := prometheus{"http://" + listen}
	eventually(t, "prometheus is ready", func() bool { return answers(t.Context(), p.url+"/-/ready") })
	return p
}

// sample is a series and its last value.
type sample struct {
	Metric map[string]string
	Value  [2]any // time, value as text
}

// query evaluates an expression now. The error is of the expression.
func (p prometheus) query(t *testing.T, expr string) ([]sample, error) {
	t.Helper()
	var answer struct {
		Error string
		Data  struct{ Result []sample }
	}
	body := fetch(t, http.DefaultClient, http.MethodGet, p.url+"/api/v1/query?query="+url.QueryEscape(expr), "")
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%s: %v: %s", expr, err, body)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Data.Result, nil
}

// shows reports whether an expression has a value that is a number.
func (p prometheus) shows(t *testing.T, expr string) bool {
	t.Helper()
	samples, err := p.query(t, expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return slices.ContainsFunc(samples, func(s sample) bool { return s.Value[1] != "NaN" })
}

// rules are the expressions of the alerts that Prometheus has loaded, by name.
func (p prometheus) rules(t *testing.T) map[string]string {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Query, Health, LastError string }
			}
		}
	}
	if err := json.Unmarshal([]byte(fetch(t, http.DefaultClient, http.MethodGet, p.url+"/api/v1/rules", "")), &answer); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			all[rule.Name] = rule.Query
			if rule.Health == "err" {
				t.Errorf("alert %s: %s", rule.Name, rule.LastError)
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("no rules")
	}
	return all
}

// dashboard is what Grafana would ask Prometheus for.
type dashboard struct {
	Templating struct {
		List []struct {
			Name  string
			Query json.RawMessage
		}
	}
	Panels []struct {
		Title   string
		Type    string
		Targets []struct{ Expr string }
	}
}

// expressions are those of all panels, by title, and of all variables, by name, as Grafana
// sends them when everything is chosen.
func (d dashboard) expressions(t *testing.T) map[string]string {
	t.Helper()
	values := []string{"$__rate_interval", "30s"}
	all := map[string]string{}
	labelValues := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	for _, v := range d.Templating.List {
		var q struct{ Query string }
		if json.Unmarshal(v.Query, &q) != nil {
			continue // the variable of the data source has a word
		}
		match := labelValues.FindStringSubmatch(q.Query)
		if match == nil {
			t.Fatalf("variable %s: %q", v.Name, q.Query)
		}
		all["$"+v.Name] = fmt.Sprintf(`count by (%s) (%s)`, match[2], match[1])
		values = append(values, "$"+v.Name, ".*")
	}
	for _, p := range d.Panels {
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for i, target := range p.Targets {
			all[fmt.Sprintf("%s %d: %s", p.Title, i, target.Expr)] = target.Expr
		}
	}
	for name, expr := range all {
		all[name] = strings.NewReplacer(values...).Replace(expr)
		if strings.Contains(all[name], "$") {
			t.Errorf("%s: an unknown variable in %s", name, expr)
		}
	}
	return all
}

// Every expression of the dashboard and of the alerts shows something of a driver that
// works, and no alert fires for it.
func TestPrometheusAndDashboard(t *testing.T) {
	requireProgram(t, "prometheus", "prometheus")
	text, err := os.ReadFile("../../deploy/grafana/objvol.json")
	if err != nil {
		t.Fatal(err)
	}
	var board dashboard
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state")
	dir := filepath.Join(state, "mnt", "vol")
	leaveNothing(t, dir)
	metrics, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	d := startServe(t, objstoretest.Server{}, state, "--metrics-addr", metrics, "--disk-probe", "200ms")
	p := startPrometheus(t, metrics)
	d.must("VolumeDriver.Create", `{"Name":"vol"}`)
	d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"a"}`)
	work := func() {
		d.must("VolumeDriver.Mount", `{"Name":"vol","ID":"b"}`)
		mounttest.Run(t, dir, "write more")
		mounttest.Run(t, dir, "check more")
		d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"b"}`)
	}

	expressions := board.expressions(t)
	threshold := regexp.MustCompile(` [<>] [0-9.]+$`)
	alerts := p.rules(t)
	for name, expr := range alerts {
		graph := threshold.ReplaceAllString(expr, "")
		if graph == expr {
			t.Errorf("alert %s does not end in its threshold: %s", name, expr)
		}
		expressions["alert "+name] = graph
	}
	for name, expr := range expressions {
		eventually(t, name+" shows something", func() bool {
			if p.shows(t, expr) {
				return true
			}
			work()
			return false
		})
	}
	for name, expr := range alerts {
		if _, err := p.query(t, expr); err != nil {
			t.Errorf("alert %s: %v", name, err)
		}
	}
	if firing, err := p.query(t, `ALERTS{alertstate="firing"}`); err != nil || len(firing) > 0 {
		t.Errorf("firing: %v, %v", firing, err)
	}
	if said := promtool(t, fetch(t, http.DefaultClient, http.MethodGet, "http://"+metrics+"/metrics", ""), "check", "metrics"); said != "" {
		t.Errorf("promtool check metrics: %s", said)
	}
	d.must("VolumeDriver.Unmount", `{"Name":"vol","ID":"a"}`)
	if code := d.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
