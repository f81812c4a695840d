/**
 * A request as a server gets it, with every header it came with: a request that is made in a
 * browser takes no `Origin`.
 */
export function arrivedRequest(url: string, init: RequestInit = {}): Request {
  const request = new Request(url, init);
  const headers = new Headers(request.headers);
  for (const [name, value] of new Headers(init.headers)) headers.set(name, value);
  Object.defineProperty(request, "headers", { value: headers });
  return request;
}
