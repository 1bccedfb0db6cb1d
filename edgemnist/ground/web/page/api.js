// Asking the service. A token comes from the address (`#token=…`, which no server is sent) or from the form.

const KEY = "edgemnist-token";

const found = new URLSearchParams(location.hash.slice(1)).get("token");
if (found) {
  sessionStorage.setItem(KEY, found);
  history.replaceState(null, "", location.pathname + location.search);
}

export class Refused extends Error {
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

export function useToken(token) {
  sessionStorage.setItem(KEY, token);
}

export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Refused(0, "The service does not answer.", "Is it running, and is this device in its network?");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, `${body.message ?? response.statusText}.`, body.hint ?? "");
  return body;
}

export function correct(image, label) {
  const body = JSON.stringify({ image, label });
  return ask("/v1/corrections", { method: "POST", headers: { "Content-Type": "application/json" }, body });
}
