// Beside a frame of a notebook's output: when the view in it is drawn it says its height, and its picture is hidden.
window.addEventListener("message", ({ data, source }) => {
  if (typeof data?.attentionViewHeight !== "number") return;
  for (const frame of document.querySelectorAll("iframe.attention-frame")) {
    if (frame.contentWindow !== source) continue;
    frame.style.height = `${data.attentionViewHeight}px`;
    frame.previousElementSibling.style.display = "none";
  }
});
