// Functions that the scripts of all pages share. Strangers' texts become text nodes, never markup.
const page = (() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("page-data").textContent);

  /** Make an element: attributes and children that are null are left out; children are nodes or texts. */
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  };

  const loading = new Map();

  /** Load a data file: a script that puts its value into `milannotations` under `key`. */
  const load = (file, key, read = (value) => value) => {
    if (!loading.has(key)) {
      loading.set(key, new Promise((resolve, reject) => {
        const script = make("script", { src: file });
        const failed = () => {
          loading.delete(key); // so that the next attempt loads the file again
          reject(new Error(`${file} cannot be loaded; was the whole folder copied?`));
        };
        script.onerror = failed;
        script.onload = () => {
          const value = globalThis.milannotations?.[key];
          script.remove();
          if (value === undefined) failed();
          else {
            delete globalThis.milannotations[key];
            resolve(read(value));
          }
        };
        document.head.append(script);
      }));
    }
    return loading.get(key);
  };

  /** Decode a component of an address; a malformed one stays unchanged. */
  const decoded = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };

  /** Split the text of a search field into words. */
  const wordsIn = (input) => input.value.toLowerCase().split(/\s+/).filter(Boolean);

  for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;
  for (const element of document.querySelectorAll("[data-without-script]")) element.hidden = true;
  return { byId, data, make, load, decoded, wordsIn };
})();
