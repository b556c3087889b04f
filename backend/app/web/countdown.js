/** The wait before a retry. */

/** Wait, showing the time left; a click on the button, the network or the signal ends it early. */
export async function countDown(seconds, place, button, signal) {
  const end = Date.now() + seconds * 1000;
  const over = new AbortController();
  const { promise, resolve } = Promise.withResolvers();
  button.addEventListener("click", resolve, { signal: over.signal });
  addEventListener("online", resolve, { signal: over.signal });
  signal?.addEventListener("abort", resolve, { signal: over.signal });
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left <= 0) return resolve(null);
    const untilOnline = navigator.onLine ? "" : "Resumes when the network is back";
    place.textContent = left < Infinity ? `Trying again in ${inMinutes(left)}` : untilOnline;
  };
  tick();
  const timer = setInterval(tick, 1000);
  await promise;
  clearInterval(timer);
  over.abort();
}

function inMinutes(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}
