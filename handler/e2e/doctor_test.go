package e2e

import (
	"encoding/json"
	"maps"
	"os/exec"
	"strings"
	"testing"

	"keyless/handler/localazure"
)

// diagnose runs `handler doctor --json` and returns its report and exit code.
func diagnose(t *testing.T, env map[string]string) (out string, healthy bool, code int) {
	t.Helper()
	cmd := exec.Command(deployedBinary, "doctor", "--json")
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	data, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	var report struct{ Healthy bool }
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if strings.Contains(string(data), "eyJ") {
		t.Errorf("a token is in the report:\n%s", data)
	}
	return string(data), report.Healthy, cmd.ProcessState.ExitCode()
}

func TestDoctor(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	s := newServiceBus(t, az.tokens.Issuer)
	env := maps.Clone(az.env)
	maps.Copy(env, s.settings())
	env["AGENT_STORAGE_DIR"] = t.TempDir()
	if out, healthy, code := diagnose(t, env); !healthy || code != 0 {
		t.Errorf("all is well, and it exited with %d:\n%s", code, out)
	}
	az.openai.Faults.Set(localazure.Fault{Status: 403})
	if out, healthy, code := diagnose(t, env); healthy || code != 1 || !strings.Contains(out, "az role assignment create") {
		t.Errorf("a role is missing, and it exited with %d:\n%s", code, out)
	}
	delete(env, "AZURE_OPENAI_ENDPOINT")
	if out, healthy, code := diagnose(t, env); healthy || code != 1 || !strings.Contains(out, "AZURE_OPENAI_ENDPOINT") {
		t.Errorf("a setting is missing, and it exited with %d:\n%s", code, out)
	}
}
