// Files go from the browser straight to the store, in parts where they are large, each by a URL signed for it.
const zone = document.querySelector("[data-upload]");
const AT_ONCE = 3;

async function ask(path, fields) {
  const body = new URLSearchParams({ form_token: zone.dataset.token, ...fields });
  const answer = await fetch(`${zone.dataset.upload}${path.split("/").map(encodeURIComponent).join("/")}`, { method: "POST", body });
  if (!answer.ok) throw new Error(`the console answered ${answer.status}`);
  return answer.json();
}

function put(url, blob, moved) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.upload.addEventListener("progress", (event) => moved(event.loaded));
    request.addEventListener("load", () => (request.status < 300 ? resolve(request.getResponseHeader("ETag")) : reject(new Error(`the store answered ${request.status}`))));
    request.addEventListener("error", () => reject(new Error("the connection broke")));
    request.send(blob);
  });
}

async function send(file, path, show) {
  const begun = await ask(path, { do: "begin", size: file.size, type: file.type });
  if (begun.error) throw new Error(begun.error);
  const done = new Array(begun.urls.length).fill(0);
  const tags = [];
  const moved = (n) => (bytes) => {
    done[n] = bytes;
    show(file.size ? done.reduce((a, b) => a + b, 0) / file.size : 1);
  };
  let next = 0;
  const work = async () => {
    for (let n = next++; n < begun.urls.length; n = next++) {
      tags[n] = await put(begun.urls[n], file.slice(n * begun.part, (n + 1) * begun.part), moved(n));
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } catch (error) {
    if (begun.upload) await ask(path, { do: "abort", upload: begun.upload });
    throw error;
  }
  if (begun.upload) {
    const ended = await ask(path, { do: "complete", upload: begun.upload, tags: tags.join("\n") });
    if (ended.error) throw new Error(ended.error);
  }
}

async function all(files) {
  const list = zone.querySelector("ul");
  for (const { file, path } of files) {
    const item = document.createElement("li");
    const label = document.createElement("span");
    const bar = document.createElement("progress");
    label.textContent = path;
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", path);
    item.append(label, " ", bar);
    list.append(item);
    try {
      await send(file, path, (share) => (bar.value = share));
      bar.replaceWith("is there");
    } catch (error) {
      bar.replaceWith(`failed: ${error.message}`);
      item.className = "failed";
    }
  }
}

// A dropped folder is walked; what browsers call entries.
async function walk(entry, base = "") {
  if (entry.isFile) return [{ file: await new Promise((yes, no) => entry.file(yes, no)), path: base + entry.name }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((yes, no) => reader.readEntries(yes, no));
    if (!some.length) return found;
    for (const each of some) found.push(...(await walk(each, `${base}${entry.name}/`)));
  }
}

if (zone) {
  for (const input of zone.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", async () => {
      const files = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
      input.value = "";
      await all(files);
    });
  }
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    for (const entry of entries) await all(await walk(entry));
  });
}
