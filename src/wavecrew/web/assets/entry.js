// The key stands behind the # of the link, which no browser sends anywhere. Trade it for a cookie, and forget it.
const key = new URLSearchParams(location.hash.slice(1)).get("key");
if (key) {
  history.replaceState(null, "", location.pathname);
  const answer = await fetch("/enter", {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded", "x-wavecrew": "1" },
    body: new URLSearchParams({ token: key }),
  });
  if (answer.ok) location.replace("/");
  else document.querySelector("form").insertAdjacentText("beforebegin", "That is not the key to this page.");
}
