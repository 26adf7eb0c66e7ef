// Texts of the page in English and Spanish, and numbers as each language writes them.
// Entries with `one` and `other` depend on the number {n}.

export const TEXTS = {
  en: {
    title: "prenda: which garment is it?",
    language: "Language",
    heading: "Which garment is it?",
    lead: "Add photos of garments. Each gets its type and how sure that is. What the model does not know is left to you.",
    drop: "Drop photos or a folder here",
    dropMore: "Drop more photos anywhere on this page",
    touch: "Choose photos, or take one",
    paste: "or paste them with {key}",
    choose: "Choose photos",
    camera: "Take a photo",
    letGo: "Let go to add the photos",
    typesTitle: "Types that it knows",
    privacyTitle: "What happens to your photos",
    privacy: "Your photos go to your own server, which looks at them in memory and keeps none. Lists and folders are made in this browser.",
    privacyCorrections: "Your photos go to your own server, which looks at them in memory. It keeps only photos that you correct, to learn from them.",
    resultTitle: "What you can do with the answers",
    result: "Correct them, save them as a table for a spreadsheet, or save the photos sorted into a folder for each type.",
    answers: "Answers",
    working: "{done} of {n} photos looked at",
    progress: "Photos looked at",
    photos: { one: "{n} photo", other: "{n} photos" },
    added: { one: "{n} photo added", other: "{n} photos added" },
    finished: { one: "{n} photo looked at: {parts}.", other: "All {n} photos looked at: {parts}." },
    answeredPart: "{n} with a type",
    unsurePart: "{n} unsure",
    failedPart: "{n} not read",
    noPhotos: "No photo was found there.",
    filters: "Show photos of a type",
    all: "All",
    unsure: "Unsure",
    failed: "Not read",
    folderUnsure: "unsure",
    save: "Save",
    csv: "list (CSV)",
    zip: "folders (ZIP)",
    zipping: "{done} of {n}",
    saved: "{name} is saved in your downloads.",
    zipTooLarge: "These photos are too many for one ZIP file (4 GiB or 65,000 photos). Choose a type above and save one type at a time.",
    zipGone: "{name} is no longer where it was, so the ZIP file was not made. Remove this photo, or add it again.",
    zipEmpty: "There is no photo with an answer to save.",
    removeAll: "Remove all",
    remove: "Remove {name}",
    yours: "Your photo",
    yoursAlt: "Your photo {name}",
    noPreview: "This browser cannot show this kind of picture",
    seen: "What the network saw",
    seenAlt: "{name} as the network saw it",
    guesses: "Best guesses",
    waiting: "Waiting",
    sending: "Looking …",
    perhaps: "Look at it yourself. Best guess: {type}.",
    correct: "It is",
    correctSure: "Not right? It is",
    correctName: "{words} (type of {name})",
    chooseType: "choose a type",
    anotherType: "another type …",
    anotherName: "Another type for {name}",
    keepType: "Use it",
    correctedHere: "Corrected in your list and folders.",
    keeping: "Sending the correction …",
    kept: "Corrected. The server keeps this photo to learn from it.",
    notKept: "Corrected here, but not kept by the server. {reason}",
    tryAgain: "Try again",
    away: { one: "The server does not answer. Next try in {n} second.", other: "The server does not answer. Next try in {n} seconds." },
    busy: { one: "The server is busy. Next try in {n} second.", other: "The server is busy. Next try in {n} seconds." },
    stopped: "The server has not answered for a while. Your photos stay here: start the server, then try again.",
    back: "The server answers again.",
    tooLarge: "{name} is too large to send ({n} MB): save it as a smaller JPEG.",
    notSent: "{name} could not be sent: add it again, or save it as a smaller JPEG.",
    noReason: "The server gave no reason.",
    tokenNeeded: "This server asks for an access token.",
    tokenTitle: "Access token",
    tokenWhy: "This server answers only people who have its token. Ask the person who runs it. This browser forgets the token when you close the tab.",
    tokenWrong: "The server did not accept this token.",
    tokenLabel: "Token",
    tokenEnter: "Enter the token",
    tokenSend: "Continue",
    cancel: "Cancel",
    pasted: "pasted {n}",
    model: "Model {name}, version {version}",
    modelUnversioned: "Model {name}",
    sees: "It sees {width} × {height} pixels.",
  },
  es: {
    title: "prenda: ¿qué prenda es?",
    language: "Idioma",
    heading: "¿Qué prenda es?",
    lead: "Añada fotos de prendas. Cada una recibe su tipo y la seguridad de la respuesta. Lo que el modelo no sabe, lo decide usted.",
    drop: "Suelte aquí fotos o una carpeta",
    dropMore: "Suelte más fotos en cualquier lugar de esta página",
    touch: "Elija fotos, o haga una",
    paste: "o péguelas con {key}",
    choose: "Elegir fotos",
    camera: "Hacer una foto",
    letGo: "Suelte para añadir las fotos",
    typesTitle: "Tipos que conoce",
    privacyTitle: "Qué pasa con sus fotos",
    privacy: "Sus fotos van a su propio servidor, que las mira en la memoria y no guarda ninguna. Las listas y carpetas se hacen en este navegador.",
    privacyCorrections: "Sus fotos van a su propio servidor, que las mira en la memoria. Solo guarda las fotos que usted corrige, para aprender de ellas.",
    resultTitle: "Qué puede hacer con las respuestas",
    result: "Corregirlas, guardarlas como tabla para la hoja de cálculo, o guardar las fotos ordenadas en una carpeta por tipo.",
    answers: "Respuestas",
    working: "{done} de {n} fotos miradas",
    progress: "Fotos miradas",
    photos: { one: "{n} foto", other: "{n} fotos" },
    added: { one: "{n} foto añadida", other: "{n} fotos añadidas" },
    finished: { one: "{n} foto mirada: {parts}.", other: "Las {n} fotos están miradas: {parts}." },
    answeredPart: "{n} con tipo",
    unsurePart: "{n} en duda",
    failedPart: "{n} sin leer",
    noPhotos: "Ahí no se encontró ninguna foto.",
    filters: "Mostrar las fotos de un tipo",
    all: "Todas",
    unsure: "Dudosa",
    failed: "Sin leer",
    folderUnsure: "dudosa",
    save: "Guardar",
    csv: "lista (CSV)",
    zip: "carpetas (ZIP)",
    zipping: "{done} de {n}",
    saved: "{name} está en sus descargas.",
    zipTooLarge: "Son demasiadas fotos para un solo archivo ZIP (4 GiB o 65.000 fotos). Elija arriba un tipo y guarde los tipos de uno en uno.",
    zipGone: "{name} ya no está donde estaba, así que no se hizo el archivo ZIP. Quite esta foto, o añádala otra vez.",
    zipEmpty: "No hay ninguna foto con respuesta que guardar.",
    removeAll: "Quitar todas",
    remove: "Quitar {name}",
    yours: "Su foto",
    yoursAlt: "Su foto {name}",
    noPreview: "Este navegador no puede mostrar este tipo de imagen",
    seen: "Lo que vio la red",
    seenAlt: "{name} tal como la vio la red",
    guesses: "Mejores opciones",
    waiting: "En espera",
    sending: "Mirando …",
    perhaps: "Mírela usted. La opción más probable: {type}.",
    correct: "Es",
    correctSure: "¿No es así? Es",
    correctName: "{words} (tipo de {name})",
    chooseType: "elija un tipo",
    anotherType: "otro tipo …",
    anotherName: "Otro tipo para {name}",
    keepType: "Usar",
    correctedHere: "Corregida en su lista y sus carpetas.",
    keeping: "Enviando la corrección …",
    kept: "Corregida. El servidor guarda esta foto para aprender de ella.",
    notKept: "Corregida aquí, pero no guardada por el servidor. {reason}",
    tryAgain: "Intentar otra vez",
    away: { one: "El servidor no responde. Próximo intento en {n} segundo.", other: "El servidor no responde. Próximo intento en {n} segundos." },
    busy: { one: "El servidor está ocupado. Próximo intento en {n} segundo.", other: "El servidor está ocupado. Próximo intento en {n} segundos." },
    stopped: "El servidor lleva un rato sin responder. Sus fotos siguen aquí: arranque el servidor e inténtelo otra vez.",
    back: "El servidor responde de nuevo.",
    tooLarge: "{name} es demasiado grande para enviarla ({n} MB): guárdela como un JPEG más pequeño.",
    notSent: "{name} no se pudo enviar: añádala otra vez, o guárdela como un JPEG más pequeño.",
    noReason: "El servidor no dio ninguna razón.",
    tokenNeeded: "Este servidor pide una clave de acceso.",
    tokenTitle: "Clave de acceso",
    tokenWhy: "Este servidor solo responde a quien tiene su clave. Pídala a quien lo administra. Este navegador olvida la clave al cerrar la pestaña.",
    tokenWrong: "El servidor no aceptó esta clave.",
    tokenLabel: "Clave",
    tokenEnter: "Escribir la clave",
    tokenSend: "Continuar",
    cancel: "Cancelar",
    pasted: "pegada {n}",
    model: "Modelo {name}, versión {version}",
    modelUnversioned: "Modelo {name}",
    sees: "Ve {width} × {height} píxeles.",
  },
};

const REMEMBERED = "prenda.language";

let language = remembered() ?? navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in TEXTS) ?? "en";

function remembered() {
  try {
    const value = localStorage.getItem(REMEMBERED);
    return value in TEXTS ? value : null;
  } catch {
    return null; // the browser forbids storage
  }
}

export function currentLanguage() {
  return language;
}

export function chooseLanguage(chosen) {
  language = chosen;
  try {
    localStorage.setItem(REMEMBERED, chosen);
  } catch {
    // the choice then lasts until the page is closed
  }
}

/** Return a text of the current language with its {placeholders} filled in. */
export function text(key, values = {}) {
  const entry = TEXTS[language][key];
  const chosen = typeof entry === "string" ? entry : entry[new Intl.PluralRules(language).select(values.n)] ?? entry.other;
  return chosen.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : values[name]));
}

/** Return the server's text, which it gives in both languages, in the current one. */
export function said(texts) {
  return texts?.[language] ?? texts?.en ?? text("noReason");
}

export function number(value) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(value);
}

export function percent(share) {
  return new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(share);
}

/** Write the texts of elements that name theirs: data-text for content, data-label for their accessible name. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", text(element.dataset.label));
}
