-- Asks Postern about a request, and puts who calls into its headers.
-- Sets txn.postern_status to what Postern answered, txn.postern_challenge, and
-- txn.postern_nonce for clients with DPoP.

local credential = os.getenv("POSTERN_GATEWAY")
local identity = { "x-auth-subject", "x-auth-client", "x-auth-workspace", "x-auth-roles", "x-auth-scope" }
local about_body = { "content-type", "content-encoding" }

-- values returns all there are of a header, which HAProxy counts from 0.
local function values(headers, name)
  local all = {}
  local found = headers[name]
  if found then
    local i = 0
    while found[i] ~= nil do
      all[#all + 1] = found[i]
      i = i + 1
    end
  end
  return all
end

core.register_action("postern", { "http-req" }, function(txn, url)
  txn:set_var("txn.postern_status", "503")
  local sent = txn.http:req_get_headers()
  local ask = {
    ["x-original-method"] = { txn.sf:method() },
    -- As the client sent it, and as the upstream gets it.
    ["x-original-uri"] = { txn.sf:pathq() },
    ["x-real-ip"] = { txn.sf:src() },
    ["authorization"] = values(sent, "authorization"),
  }
  -- For tokens that are bound to a certificate, with verify on the bind line.
  local certificate = txn.sf:ssl_c_der()
  if certificate ~= nil and certificate ~= "" then
    ask["x-client-cert"] = { txn.c:base64(certificate) }
  end
  local proofs = values(sent, "dpop")
  if #proofs > 0 then
    ask["dpop"] = proofs
  end
  local hosts = values(sent, "host")
  if #hosts > 0 then
    ask["x-original-host"] = hosts
  end
  if credential ~= nil and credential ~= "" then
    ask["x-postern-gateway"] = { credential }
  end

  -- For GraphQL. A body that HAProxy does not have whole is not sent at all.
  local body = txn.sf:req_body()
  local length = tonumber(values(sent, "content-length")[1])
  if body ~= nil and length ~= nil and #body == length and length > 0 then
    for _, name in ipairs(about_body) do
      local all = values(sent, name)
      if #all > 0 then
        ask[name] = all
      end
    end
  else
    body = nil
  end

  local client = core.httpclient()
  local answer = client:post({ url = url, headers = ask, body = body or "", timeout = 2000 })
  if answer == nil or answer.status == nil then
    return
  end
  if answer.status == 401 then
    txn:set_var("txn.postern_challenge", values(answer.headers, "www-authenticate")[1] or "Bearer")
    local nonce = values(answer.headers, "dpop-nonce")[1]
    if nonce then
      txn:set_var("txn.postern_nonce", nonce)
    end
  end
  if answer.status ~= 200 then
    txn:set_var("txn.postern_status", tostring(answer.status))
    return
  end
  for _, name in ipairs(identity) do
    local all = values(answer.headers, name)
    if #all ~= 1 or all[1] == "" then
      return
    end
    txn.http:req_set_header(name, all[1])
  end
  -- The token that Postern gave for a secret takes its place. Nobody looked at
  -- what a public call has.
  local token = values(answer.headers, "x-auth-token")[1]
  if token then
    txn.http:req_set_header("authorization", "Bearer " .. token)
  elseif values(answer.headers, "x-auth-subject")[1] == "anonymous" then
    txn.http:req_del_header("authorization")
  end
  txn:set_var("txn.postern_status", "200")
end, 1)
