// The editor that a content type wants: text for rows, checked text for JSON, a file for what is no text.
const form = document.querySelector("[data-ask]");
const MOST_BYTES = 5 << 20;
const part = (name) => form.querySelector(name);

function isBinary(type) {
  return /^image\/|^audio\/|^video\/|recordio|octet-stream|parquet|npy/.test(type);
}

function wrong(type, text) {
  const documents = /jsonlines/.test(type) ? text.split("\n").filter((line) => line.trim()) : /json/.test(type) ? [text] : [];
  try {
    documents.forEach((each) => JSON.parse(each));
  } catch (error) {
    return `This is no JSON: ${error.message}`;
  }
  return "";
}

function settle() {
  const type = part("[name=content_type]").value;
  const body = part("[name=body]");
  const hasFile = part("input[type=file]").files.length > 0;
  body.parentElement.hidden = isBinary(type);
  body.required = !hasFile && !isBinary(type);
  body.setCustomValidity(hasFile || !body.value ? "" : wrong(type, body.value));
  part("input[type=file]").required = isBinary(type);
}

async function take(event) {
  const [file] = event.target.files;
  const [hidden, told, shown] = [part("[name=file]"), part("[role=alert]"), part("img")];
  hidden.value = "";
  told.textContent = "";
  shown.hidden = true;
  if (file && file.size > MOST_BYTES) {
    told.textContent = `${file.name} has more than 5 MiB, which is what one request may have.`;
    event.target.value = "";
  } else if (file) {
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      hidden.value = reader.result.slice(reader.result.indexOf(",") + 1);
      shown.hidden = !file.type.startsWith("image/");
      if (!shown.hidden) shown.src = reader.result;
    });
    reader.readAsDataURL(file);
    if (file.type) part("[name=content_type]").value = file.type;
  }
  settle();
}

if (form) {
  part("input[type=file]").addEventListener("change", take);
  part("[name=content_type]").addEventListener("input", settle);
  part("[name=body]").addEventListener("input", settle);
  settle();
}
