package sessions

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestDecodeExecution(t *testing.T) {
	const stderrLimit = "Request timed out waiting for code execution to complete after 120 seconds"
	for name, tt := range map[string]struct {
		body    string
		status  Status
		failure Failure
		text    string
	}{
		"int":                  {`{"$id":"1","status":"Succeeded","result":{"$id":"2","executionResult":4}}`, Succeeded, "", "4"},
		"no value":             {`{"status":"Succeeded","result":{"executionResult":""}}`, Succeeded, "", ""},
		"no result":            {`{"status":"succeeded"}`, Succeeded, "", ""},
		"null streams":         {`{"status":"SUCCEEDED","result":{"stdout":null,"stderr":null,"executionTimeInMilliseconds":null}}`, Succeeded, "", ""},
		"None":                 {`{"status":"Success","result":{"executionResult":null}}`, Succeeded, "", "None"},
		"NaN":                  {`{"status":"Succeeded","result":{"executionResult":"nan"}}`, Succeeded, "", "nan"},
		"str":                  {`{"status":"Succeeded","result":{"executionResult":"'nan'"}}`, Succeeded, "", "'nan'"},
		"list":                 {`{"status":"Succeeded","result":{"executionResult":[1, 2]}}`, Succeeded, "", "[1, 2]"},
		"object":               {`{"status":"Succeeded","result":{"executionResult":{"type":"table"}}}`, Succeeded, "", `{"type":"table"}`},
		"image":                {`{"status":"Succeeded","result":{"executionResult":{"type":"image","format":"png","base64_data":"iVBORw=="}}}`, Succeeded, "", ""},
		"stderr without error": {`{"status":"Succeeded","result":{"stderr":"careful"}}`, Succeeded, "", ""},
		"raised":               {`{"status":"Failed","result":{"stderr":"Traceback\nValueError: x"}}`, Failed, Raised, ""},
		"old name":             {`{"status":"Failure","result":{"stderr":"Traceback"}}`, Failed, Raised, ""},
		"time limit":           {`{"status":"Failed","result":{"stderr":"` + stderrLimit + `"}}`, Failed, TimedOut, ""},
		"aborted":              {`{"status":"Failed","result":{"stderr":"Execution aborted"}}`, Failed, Aborted, ""},
		"canceled":             {`{"status":"Canceled"}`, Failed, Aborted, ""},
		"kernel":               {`{"status":"Failed","result":{"stderr":"Kernel restarted"}}`, Failed, KernelRestarted, ""},
		"old shape":            {`{"$id":"1","properties":{"$id":"2","status":"Success","stdout":"","stderr":"","result":2,"executionTimeInMilliseconds":33}}`, Succeeded, "", "2"},
		"old shape, new name":  {`{"properties":{"status":"Success","executionResult":"x"}}`, Succeeded, "", "x"},
		"old shape, None":      {`{"properties":{"status":"Success","result":null}}`, Succeeded, "", "None"},
		"old shape, raised":    {`{"properties":{"status":"Failure","stderr":"Traceback","result":""}}`, Failed, Raised, ""},
		"running":              {`{"status":"Running"}`, Running, "", ""},
		"not started":          {`{"status":"NotStarted","result":{"stdout":"7e0c","executionResult":null}}`, NotStarted, "", ""},
		"raw result beside":    {`{"sessionId":"s","status":"Succeeded","rawResult":{"hresult":0,"error_name":null},"result":{"executionResult":1.5}}`, Succeeded, "", "1.5"},
		"only in error":        {`{"status":"Failed","error":{"error":{"code":"Timeout","message":"` + stderrLimit + `"}}}`, Failed, TimedOut, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := decodeExecution([]byte(tt.body), 100)
			if err != nil {
				t.Fatal(err)
			}
			if e.Status != tt.status || e.Failure != tt.failure || e.ResultText() != tt.text {
				t.Errorf("got %s, %q, %q; want %s, %q, %q", e.Status, e.Failure, e.ResultText(), tt.status, tt.failure, tt.text)
			}
		})
	}
}

func TestDecodeExecutionRefuses(t *testing.T) {
	for _, body := range []string{"", "null", "[]", "<html>", `{}`, `{"status":7}`, `{"status":"Succeeded","result":"x"}`} {
		_, err := decodeExecution([]byte(body), 100)
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: error %v, want ErrProtocol", body, err)
		}
	}
}

func TestTruncated(t *testing.T) {
	for name, tt := range map[string]struct {
		stdout string
		want   bool
	}{
		"below": {strings.Repeat("ü", 9), false},
		"at":    {strings.Repeat("ü", 10), true},
		"empty": {"", false},
	} {
		e, err := decodeExecution([]byte(`{"status":"Succeeded","result":{"stdout":"`+tt.stdout+`"}}`), 10)
		if err != nil || e.Truncated != tt.want {
			t.Errorf("%s: truncated %v (%v), want %v", name, e.Truncated, err, tt.want)
		}
	}
}

func TestStateLost(t *testing.T) {
	for name, tt := range map[string]struct {
		e        Execution
		previous string
		want     bool
	}{
		"same container":  {Execution{SessionGUID: "a"}, "a", false},
		"other container": {Execution{SessionGUID: "b"}, "a", true},
		"first execution": {Execution{SessionGUID: "b"}, "", false},
		"not told":        {Execution{}, "a", false},
		"kernel died":     {Execution{SessionGUID: "a", Failure: KernelRestarted}, "a", true},
	} {
		if got := tt.e.StateLost(tt.previous); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func FuzzDecodeExecution(f *testing.F) {
	f.Add([]byte(`{"$id":"1","id":"e","status":"Succeeded","result":{"stdout":"a","executionResult":{"type":"image","format":"png","base64_data":"iVBORw=="},"executionTimeInMilliseconds":1e300}}`))
	f.Add([]byte(`{"status":"Failed","error":{"error":{"message":"m"}},"result":{"stderr":"Kernel restarted"}}`))
	f.Add([]byte(`{"status":"Failed","error":"text","result":null}`))
	f.Add([]byte(`{"properties":{"status":"Failure","stdout":"a","result":"'b'","error":{"message":"m"}}}`))
	f.Add([]byte(`{"status":"Running","result":{"stdout":"id","outputStreamsMaxLength":-1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := decodeExecution(body, 10)
		if err != nil {
			if !errors.Is(err, ErrProtocol) || e != nil {
				t.Fatalf("execution %v, error %v", e, err)
			}
			return
		}
		if (e.Status == Failed) != (e.Failure != "") || e.Duration < 0 || e.Duration > 1e9*time.Millisecond {
			t.Fatalf("inconsistent: %+v", e)
		}
		if !e.Status.Ended() && (e.Stdout != "" || e.Result != nil) {
			t.Fatalf("it has not ended: %+v", e)
		}
		if _, _, image := e.Image(); image && e.ResultText() != "" {
			t.Fatal("an image has a text")
		}
		e.Number()
		e.Str()
	})
}

func FuzzDecodeDetail(f *testing.F) {
	f.Add([]byte(`{"error":{"error":{"error":{"error":{}}}}}`))
	f.Add([]byte(`"text"`))
	f.Add([]byte("<html>\xff"))
	f.Fuzz(func(_ *testing.T, body []byte) { decodeDetail(body) })
}
