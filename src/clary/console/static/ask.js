// A file takes the place of the text: an image, a Parquet table, whatever the endpoint reads.
const form = document.querySelector("[data-ask]");
const MOST_BYTES = 5 << 20;

form?.querySelector("input[type=file]").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  const body = form.querySelector("[name=body]");
  const hidden = form.querySelector("[name=file]");
  const told = form.querySelector("[role=alert]");
  hidden.value = "";
  told.textContent = "";
  body.required = !file;
  if (!file) return;
  if (file.size > MOST_BYTES) {
    told.textContent = `${file.name} has more than 5 MiB, which is what one request may have.`;
    event.target.value = "";
    body.required = true;
    return;
  }
  const reader = new FileReader();
  reader.addEventListener("load", () => (hidden.value = reader.result.slice(reader.result.indexOf(",") + 1)));
  reader.readAsDataURL(file);
  if (file.type) form.querySelector("[name=content_type]").value = file.type;
});
