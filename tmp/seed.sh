cd /tmp/roles-dev; rm -f jar; U=http://127.0.0.1:8185; J() { python3 -c "import json;print(json.load(open('/tmp/roles-dev/data/postern-data/bootstrap.json'))$1)"; }
P=$(J "['admin']['password']")
post() { path=$1; shift; curl -s -o post.html -w "%{http_code} %{redirect_url}\n" -b jar -c jar -H 'Sec-Fetch-Site: same-origin' "$@" $U$path; }
post /console/sign-in --data-urlencode "name=admin" --data-urlencode "password=$P"
post /console/password --data-urlencode "current=$P" --data-urlencode "new=correct horse battery" --data-urlencode "again=correct horse battery"
SE=$(J "['admin']['client_secret']")
api() { curl -s -X $1 -H "Authorization: Bearer $SE" -H 'Content-Type: application/json' ${4:+-H "If-Match: \"$4\""} $U/api/v1$2 ${3:+-d "$3"}; echo; }
api POST /apis '{"name":"iot","workspace":"default","description":"Devices and their state.","audience":"https://iot.example.com","hosts":["iot.example.com"],"endpoints":[{"methods":"GET HEAD","path":"/devices","summary":"List devices","tags":["read"]},{"methods":"POST","path":"/devices","summary":"Add a device"},{"methods":"GET HEAD","path":"/devices/{device}/state","summary":"State of a device","tags":["read"]},{"methods":"POST","path":"/devices/{device}/reset","summary":"Reset a device"},{"methods":"DELETE","path":"/devices/{device}","summary":"Remove a device"},{"methods":"POST","path":"/graphql","summary":"GraphQL","graphql":true}],"public":[{"methods":"GET","path":"/health","summary":"Alive"}]}' | cut -c1-120
api POST /roles '{"workspace":"default","name":"viewer","description":"Reads devices.","rules":[{"api":"iot","methods":"GET HEAD","path":"/devices/{device}/**"},{"api":"iot","methods":"GET","path":"/devices"},{"api":"iot","methods":"POST","path":"/graphql","operation":"query devices"}]}' | cut -c1-120
api POST /roles '{"workspace":"default","name":"operator","description":"Reads and resets devices, all but d9.","parents":["viewer"],"rules":[{"api":"iot","methods":"POST","path":"/devices/{device}/reset","scope":"iot:write"},{"api":"iot","methods":"*","path":"/devices/d9/**","deny":true},{"api":"iot","methods":"POST","path":"/devices","deny":true},{"api":"iot","methods":"DELETE","path":"/devices/d1"}]}' | cut -c1-120
for n in ann bo mara tomas; do api POST /accounts "{\"name\":\"$n\",\"display_name\":\"$n\"}" | cut -c1-60; done
api POST /teams '{"name":"field-service"}' | cut -c1-80
api PUT /grants/default/field-service '{"roles":[{"role":"operator","resources":{"device":["d1","d2"]}},{"role":"viewer"}]}' | cut -c1-80
api PUT /grants/default/ann '{"roles":[{"role":"operator"}]}' | cut -c1-80
i=0; for n in nightly-warehouse-sync edge-gateway-eu-1 invoice-export grafana-scraper; do i=$((i+1)); api POST /clients "{\"name\":\"$n\",\"description\":\"Runs at 02:00\",\"workspace\":\"default\",\"roles\":[\"default/viewer\"],\"expires_in_days\":$((i*20))}" | cut -c1-50; done
api GET /roles?workspace=default | python3 -c "import json,sys
for r in json.load(sys.stdin)['items']: print(r['ref'],r['id'])"
