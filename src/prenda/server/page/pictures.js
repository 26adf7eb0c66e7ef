// Small copies of photos: decoding is done for one photo at a time, and the large picture is freed at once.

const SIDE = 400; // pixels of the longer side

let last = Promise.resolve();

/** Return the address of a small JPEG of the photo; null if the browser cannot show it. */
export function preview(file) {
  last = last.then(() => draw(file)).catch(() => null);
  return last;
}

async function draw(file) {
  const picture = await createImageBitmap(file); // upright: EXIF's orientation is applied
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind transparent parts, as the network has it
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
  return URL.createObjectURL(blob);
}

/** Return the address of a picture that came as a data URL: a Blob takes less memory than its text. */
export function address(dataUrl) {
  const [head, content] = dataUrl.split(",", 2);
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: head.slice(5).split(";")[0] }));
}
