// What makes the pages quicker to use. Each of them works without it.
"use strict";

// Nothing a page needs is behind a button that only works here: those are hidden
// until this runs.
function ready(root) {
  for (const b of root.querySelectorAll("[data-copy][hidden]")) b.hidden = false;
  for (const e of root.querySelectorAll("[data-script-only][hidden]")) e.hidden = false;
  for (const e of root.querySelectorAll("[data-no-script]")) e.hidden = true;
  for (const box of root.querySelectorAll("[data-enables]")) {
    const button = document.getElementById(box.dataset.enables);
    const set = () => { button.disabled = !box.checked; };
    box.addEventListener("change", set);
    set();
  }
  for (const t of root.querySelectorAll("time[data-local]")) {
    t.textContent = new Date(t.dateTime).toLocaleString(undefined, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
  }
}

document.addEventListener("DOMContentLoaded", () => {
  ready(document);
  document.querySelector("[data-focus]")?.focus();
  // The reader of a screen hears what is added to a live region, not what was there.
  for (const t of document.querySelectorAll(".toast")) {
    const region = t.parentElement;
    t.remove();
    setTimeout(() => region.append(t), 100);
  }
  const go = document.querySelector("[data-go]");
  if (go) location.replace(go.href);
  const address = document.querySelector("[data-address]");
  if (address) history.replaceState(null, "", address.dataset.address);
});

// A file of what stands in the page already: no answer but that one has it.
function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text]));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

// Whether credentials of this page work is asked where programs ask it.
async function verify(button) {
  const { id, secret, resource, verify: kind } = button.dataset;
  const say = document.getElementById(button.getAttribute("aria-controls"));
  const text = document.getElementById(secret).textContent;
  button.disabled = true;
  say.textContent = "Asking…";
  try {
    const answer = kind === "scim"
      ? await fetch("/scim/v2/Users?count=1", { headers: { Authorization: "Bearer " + text }, credentials: "omit" })
      : await fetch("/oauth2/token", {
        method: "POST", credentials: "omit",
        body: new URLSearchParams({ grant_type: "client_credentials", client_id: document.getElementById(id).textContent, client_secret: text, ...(resource && { resource }) }),
      });
    const body = await answer.json();
    if (!answer.ok) say.textContent = "It does not work: " + (body.error_description ?? body.detail ?? body.error ?? answer.status);
    else if (kind === "scim") say.textContent = "It works: /scim/v2 answers.";
    else say.textContent = "It works: it got an access token for " + (resource || "its default API") + ", good for " + Math.round(body.expires_in / 60) + " minutes.";
  } catch {
    say.textContent = "The server does not answer. Check your connection and try again.";
  }
  button.disabled = false;
}

// Who presses a button twice means it once.
document.addEventListener("submit", (e) => {
  const once = e.target.querySelector("input[name=once]");
  if (!once) return;
  if (e.target.dataset.sent) e.preventDefault();
  e.target.dataset.sent = "true";
});
addEventListener("pageshow", () => {
  for (const f of document.querySelectorAll("form[data-sent]")) delete f.dataset.sent;
});

document.addEventListener("click", async (e) => {
  const copy = e.target.closest("[data-copy]");
  if (copy) {
    const from = document.getElementById(copy.dataset.copy);
    await navigator.clipboard.writeText(from.value ?? from.textContent);
    const text = copy.querySelector("span") ?? copy;
    const was = text.textContent;
    text.textContent = "Copied";
    setTimeout(() => { text.textContent = was; }, 1500);
  }
  const file = e.target.closest("[data-download]");
  if (file) download(file.dataset.download, document.getElementById(file.dataset.from).textContent);
  const check = e.target.closest("[data-verify]");
  if (check) verify(check);
  const close = e.target.closest("dialog [data-close]");
  if (close) {
    e.preventDefault();
    close.closest("dialog").close();
  }
  if (e.target.nodeName === "DIALOG") e.target.close(); // beside it
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(e.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (e) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.nodeName ?? "");
  if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) {
    const search = document.querySelector("input[type=search]");
    if (search) { e.preventDefault(); search.focus(); }
  }
  if (e.key === "Escape") {
    const menu = e.target.closest?.("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  }
});

// Filters act when they change; without script their form has a button.
document.addEventListener("change", (e) => {
  if (e.target.matches("[data-submit]")) e.target.form.requestSubmit();
});

// A page that stands in #dialog-body is a dialog.
document.addEventListener("htmx:afterSwap", (e) => {
  ready(e.target);
  if (e.target.id === "dialog-body") {
    const dialog = document.getElementById("dialog");
    if (!dialog.open) dialog.showModal();
  }
});

// What went wrong is a page of its own, with the reason.
document.addEventListener("htmx:responseError", (e) => {
  if (e.detail.requestConfig.verb === "get") location.assign(e.detail.pathInfo.finalRequestPath);
});
document.addEventListener("htmx:sendError", () => {
  const region = document.getElementById("toasts");
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.textContent = "The server does not answer. Check your connection and try again.";
  region.append(toast);
});
