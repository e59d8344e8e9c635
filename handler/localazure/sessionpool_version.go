package localazure

import (
	"net/http"
	"path"
	"strings"
)

// poolVersion is what sets an api-version apart from the others.
type poolVersion struct {
	name string
	// nested tells that the version is older than the redesign of October
	// 2024: bodies are wrapped in "properties", and operations have other
	// paths (Azure-Samples/container-apps-dynamic-sessions-samples,
	// code-interpreter/2024-08-02-preview-and-before.md).
	nested bool
	// executed is the status of an answer to an execution, whether or not it
	// has ended (the examples of Azure/azure-rest-api-specs).
	executed int
	manages  bool // has session, listSessions and metadata
	recurses bool // can list files recursively, and names their directory
}

var poolVersions = []poolVersion{
	{name: "2024-02-02-preview", nested: true, executed: http.StatusOK},
	{name: "2024-08-02-preview", nested: true, executed: http.StatusOK},
	{name: "2024-10-02-preview", executed: http.StatusAccepted},
	// Later revisions of this version are said to answer 200; the examples are not.
	{name: "2025-02-02-preview", executed: http.StatusAccepted, manages: true},
	{name: "2025-10-02-preview", executed: http.StatusOK, manages: true, recurses: true},
}

// poolBase is the path of a pool's poolManagementEndpoint.
const poolBase = "/subscriptions/{subscription}/resourceGroups/{group}/sessionPools/{pool}"

// operations serves what the version offers, and refuses the rest.
func (p *SessionPool) operations(v poolVersion) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, serve func(*poolCall) *poolError) {
		method, operation, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+poolBase+operation, func(w http.ResponseWriter, r *http.Request) {
			call := &poolCall{w: w, r: r, version: v, ids: poolIDs{off: p.config.WithoutIDs}}
			if problem := serve(call); problem != nil {
				problem.write(w)
			}
		})
	}
	if v.nested {
		handle("POST /code/execute", p.inSession(p.execute))
		handle("POST /files/upload", p.inSession(p.uploadFiles))
		handle("GET /files/content/{file...}", p.inSession(p.downloadFile))
	} else {
		handle("POST /executions", p.inSession(p.execute))
		handle("GET /executions/{id}", p.inSession(p.getExecution))
		handle("POST /files", p.inSession(p.uploadFiles))
		handle("GET /files/{file}/content", p.inSession(p.downloadFile))
	}
	handle("GET /files", p.inSession(p.listFiles))
	handle("GET /files/{file}", p.inSession(p.getFile))
	handle("DELETE /files/{file}", p.inSession(p.deleteFile))
	if v.manages {
		handle("GET /session", p.identified(p.getSession))
		handle("DELETE /session", p.identified(p.deleteSession))
		handle("GET /listSessions", p.listSessions)
		handle("GET /metadata", p.getMetadata)
	}
	mux.HandleFunc(poolBase+"/", func(w http.ResponseWriter, r *http.Request) {
		poolUnsupported("", r.Method+" of this path is not supported in this api-version.").write(w)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { poolFault(http.StatusNotFound).write(w) })
	return withoutCleaning(mux)
}

// withoutCleaning refuses a path with empty or dot segments. A [http.ServeMux]
// would redirect it to a cleaner one, which the service was not seen to do.
func withoutCleaning(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.TrimSuffix(r.URL.Path, "/") != strings.TrimSuffix(path.Clean(r.URL.Path), "/") {
			poolInvalid("path", "The path is not valid.").write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}
