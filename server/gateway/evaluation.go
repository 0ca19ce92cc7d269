package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"unicode/utf8"

	"postern/server/strictjson"
)

const (
	maxEvaluation  = 1 << 20 // bytes of a request
	maxEvaluations = 1000    // of a request
)

// evaluation is one question.
type evaluation struct {
	subjectType, subject string
	api, path            string // api is a short name, or route
	method               string
	host                 string
	address              netip.Addr
	workspace            string
	body                 string // of a GraphQL call
	contentType          string
	wrong                string // why it is no question
	searched             bool   // it is one of many that a search tries
}

// evaluations is a request.
type evaluations struct {
	all    []evaluation
	single bool  // it is answered without an array
	until  *bool // the decision after which no more are made
}

// readBody reads the JSON that somebody asks with.
func readBody(r *http.Request) ([]byte, error) {
	if sent := r.Header.Get("Content-Type"); sent != "application/json" { // as nearly all say it
		if kind, _, err := mime.ParseMediaType(sent); err != nil || kind != "application/json" {
			return nil, errors.New("the content type must be application/json")
		}
	}
	if r.ContentLength > maxEvaluation {
		return nil, errors.New("the body has more than 1 MB")
	}
	buffer := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead)) // grows only where no length is said
	_, err := buffer.ReadFrom(io.LimitReader(r.Body, maxEvaluation+1))
	switch body := buffer.Bytes(); {
	case err != nil:
		return nil, errors.New("the body cannot be read to its end")
	case len(body) > maxEvaluation:
		return nil, errors.New("the body has more than 1 MB")
	case !utf8.Valid(body):
		return nil, errors.New("the body is not UTF-8")
	default:
		return body, nil
	}
}

// readEvaluations reads a request. What several evaluations have in common stands
// beside them, and is replaced as a whole by what one of them says.
func readEvaluations(r *http.Request, several bool) (evaluations, error) {
	body, err := readBody(r)
	if err != nil {
		return evaluations{}, err
	}
	common, err := strictjson.Object(body)
	if err != nil {
		return evaluations{}, err
	}
	var each []json.RawMessage
	if list, ok := common["evaluations"]; several && ok && json.Unmarshal(list, &each) != nil {
		return evaluations{}, errors.New("evaluations is no array")
	}
	if len(each) > maxEvaluations {
		return evaluations{}, errors.New("there are more than " + strconv.Itoa(maxEvaluations) + " evaluations")
	}
	if len(each) == 0 {
		e := readEvaluation(common, "")
		if e.wrong != "" {
			return evaluations{}, errors.New(e.wrong)
		}
		return evaluations{all: []evaluation{e}, single: true}, nil
	}
	out := evaluations{}
	if out.until, err = readSemantic(common["options"]); err != nil {
		return evaluations{}, err
	}
	for _, text := range each {
		own, err := strictjson.Object(text)
		if err != nil {
			out.all = append(out.all, evaluation{wrong: err.Error()})
			continue
		}
		for _, name := range []string{"subject", "action", "resource", "context"} {
			if _, ok := own[name]; !ok && common[name] != nil {
				own[name] = common[name]
			}
		}
		out.all = append(out.all, readEvaluation(own, ""))
	}
	return out, nil
}

func readSemantic(options json.RawMessage) (*bool, error) {
	if options == nil {
		return nil, nil //nolint:nilnil // all are made
	}
	members, err := strictjson.Object(options)
	if err != nil {
		return nil, errors.New("options is no object")
	}
	value, ok := members["evaluations_semantic"]
	if !ok {
		return nil, nil //nolint:nilnil // all are made
	}
	switch name, _ := strictjson.Text(value); name {
	case "execute_all":
		return nil, nil //nolint:nilnil // all are made
	case "deny_on_first_deny":
		return new(false), nil
	case "permit_on_first_permit":
		return new(true), nil
	default:
		return nil, errors.New("evaluations_semantic must be execute_all, deny_on_first_deny or permit_on_first_permit")
	}
}

// readEvaluation reads one question; what is wrong with it is kept in it. open is
// the member that need not be there, and is not read: what a search is for.
func readEvaluation(members map[string]json.RawMessage, open string) (e evaluation) {
	fail := func(why string) evaluation { return evaluation{wrong: why} }
	subject, err := strictjson.Object(members["subject"])
	if err != nil {
		return fail("subject is missing, or no object")
	}
	action, err := strictjson.Object(members["action"])
	if err != nil && open != "action.name" {
		return fail("action is missing, or no object")
	}
	resource, err := strictjson.Object(members["resource"])
	if err != nil {
		return fail("resource is missing, or no object")
	}
	for _, each := range []struct {
		to    *string
		from  map[string]json.RawMessage
		name  string
		where string
	}{
		{&e.subjectType, subject, "type", "subject.type"},
		{&e.subject, subject, "id", "subject.id"},
		{&e.method, action, "name", "action.name"},
		{&e.api, resource, "type", "resource.type"},
		{&e.path, resource, "id", "resource.id"},
	} {
		if each.where == open {
			continue
		}
		var ok bool
		if *each.to, ok = strictjson.Text(each.from[each.name]); !ok || *each.to == "" {
			return fail(each.where + " is missing, or no text")
		}
	}
	if !slices.Contains([]string{"token", "client", "account", "user"}, e.subjectType) {
		return fail("subject.type must be token, client, account or user")
	}
	if err := e.readProperties(resource["properties"]); err != nil {
		return fail(err.Error())
	}
	if err := e.readContext(members["context"]); err != nil {
		return fail(err.Error())
	}
	if e.api == "route" && e.host == "" {
		return fail("resource.properties.hostname is missing: a route is found by its host")
	}
	return e
}

func (e *evaluation) readProperties(from json.RawMessage) error {
	if from == nil {
		return nil
	}
	properties, err := strictjson.Object(from)
	if err != nil {
		return errors.New("resource.properties is no object")
	}
	var ok bool
	if value := properties["hostname"]; value != nil {
		if e.host, ok = strictjson.Text(value); !ok {
			return errors.New("resource.properties.hostname is no text")
		}
	}
	if value := properties["ip"]; value != nil {
		address, _ := strictjson.Text(value)
		if e.address = parseAddress(address); !e.address.IsValid() {
			return errors.New("resource.properties.ip is no address")
		}
	}
	return nil
}

func (e *evaluation) readContext(from json.RawMessage) error {
	if from == nil {
		return nil
	}
	members, err := strictjson.Object(from)
	if err != nil {
		return errors.New("context is no object")
	}
	for name, to := range map[string]*string{"workspace": &e.workspace, "body": &e.body, "content_type": &e.contentType} {
		value, there := members[name]
		if !there {
			continue
		}
		var ok bool
		if *to, ok = strictjson.Text(value); !ok {
			return errors.New("context." + name + " is no text")
		}
	}
	return nil
}
