package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Colours reports whether a report on f should have colours: f is a terminal,
// and nobody has said no (no-color.org).
func Colours(f *os.File, getenv func(string) string) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// Write writes the report for people. Its error is w's.
func (r Report) Write(w io.Writer, colours bool) error {
	p := &page{colours: colours}
	p.line("%s", p.paint(colourOf(r.Healthy), "Keyless doctor: "+r.verdict()))
	for _, s := range r.Settings {
		p.line("  %s %s", s.Name, s.Problem)
	}
	for _, s := range r.Services {
		p.service(s)
	}
	p.line("\nCredentials, in the order in which they are tried")
	for i, c := range r.Credentials {
		p.line("  %d %-27s %s", i+1, c.Name, c.Note)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// WriteJSON writes the report for programs. Its error is w's.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // commands are to be copied
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// verdict sums the report up.
func (r Report) verdict() string {
	sick, used := 0, 0
	for _, s := range r.Services {
		if s.Status != Unused {
			used++
		}
		if s.Status == Sick {
			sick++
		}
	}
	switch {
	case r.Healthy:
		return fmt.Sprintf("all is well with %d services", used)
	case sick == 0:
		return "a setting is wrong"
	}
	return fmt.Sprintf("%d of %d services do not work", sick, used)
}

// page is a report being written.
type page struct {
	strings.Builder
	colours bool
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// Colours of terminals (ECMA-48, SGR).
const (
	red   = "31"
	green = "32"
	grey  = "90"
)

func colourOf(well bool) string {
	if well {
		return green
	}
	return red
}

func (p *page) paint(colour, text string) string {
	if !p.colours {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (p *page) service(s Service) {
	switch s.Status {
	case Healthy:
		p.line("\n%s %s", p.paint(green, "ok  "), s.Name)
	case Unused:
		p.line("\n%s %s: not used", p.paint(grey, "--  "), s.Name)
	default:
		p.line("\n%s %s: %s", p.paint(red, "FAIL"), s.Name, strings.ReplaceAll(string(s.Finding.Problem), "_", " "))
	}
	for _, setting := range s.Settings {
		p.setting(setting)
	}
	if s.Token != nil {
		p.token(*s.Token)
	}
	if s.Status == Healthy {
		p.line("     call      answered in %d ms", s.CallMS)
	}
	if s.Finding != nil {
		p.finding(*s.Finding)
	}
}

func (p *page) setting(s Setting) {
	switch {
	case s.Problem != "":
		p.line("     setting   %s %s", s.Name, s.Problem)
	case s.Value != "":
		p.line("     setting   %s=%s", s.Name, s.Value)
	default:
		p.line("     setting   %s is not set", s.Name)
	}
}

func (p *page) token(t Token) {
	p.line("     token     for %s, until %s", t.Audience, t.Expires.Format(time.RFC3339))
	if t.ObjectID != "" {
		p.line("               of object %s, app %s, tenant %s", t.ObjectID, t.AppID, t.Tenant)
	}
	if t.Credential != "" {
		p.line("               by %s", t.Credential)
	}
}

func (p *page) finding(f Finding) {
	p.line("     cause     %s", f.Cause)
	if f.UpstreamID != "" {
		p.line("     request   %s (the service's id of it, for a support case)", f.UpstreamID)
	}
	label := "to do"
	for _, command := range f.Commands {
		p.line("     %-9s %s", label, command)
		label = ""
	}
}
