// Every text whose contrast to its ground is less than 4.5 to 1.
() => {
  const parse = (words) => words.match(/[\d.]+/g).map(Number);
  const part = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r / 255) + 0.7152 * part(g / 255) + 0.0722 * part(b / 255);
  const groundOf = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour;
    }
    return parse(getComputedStyle(document.body).backgroundColor);
  };
  const bad = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const drawn = element instanceof SVGElement;
    const speaks = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!speaks || !element.getClientRects().length || (drawn && element.tagName !== "text")) continue;
    if (element.closest(".hidden-words, .dim, :disabled")) continue;
    const style = getComputedStyle(element);
    const box = drawn ? element.closest(".b") : null;
    const ground = box ? parse(getComputedStyle(box.querySelector("rect")).fill) : groundOf(element);
    const [low, high] = [light(parse(drawn ? style.fill : style.color)), light(ground)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) bad.push(`${element.tagName} ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return bad;
}
