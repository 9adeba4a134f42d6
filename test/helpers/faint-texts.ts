/**
 * For `page.evaluate`: how many texts are visible, and those whose contrast to what is behind them
 * is below 4.5, as WCAG 2 has it.
 */
export const FAINT_TEXTS = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = color
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const luminance = (color) => {
    const [red, green, blue] = rgba(color).map((value) => {
      return value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const backgroundOf = (node) => {
    const { backgroundColor } = getComputedStyle(node)
    return rgba(backgroundColor)[3] === 255 ? backgroundColor : backgroundOf(node.parentElement)
  }
  const contrast = (node, pseudo) => {
    const [dark, light] = [getComputedStyle(node, pseudo).color, backgroundOf(node)]
      .map(luminance).sort((one, other) => one - other)
    return (light + 0.05) / (dark + 0.05)
  }
  const isText = ({ nodeType, data }) => nodeType === Node.TEXT_NODE && data.trim() !== ''
  const nodes = [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility())
  const texts = nodes.filter((node) => [...node.childNodes].some(isText) && !node.disabled)
  const found = texts.map((node) => [node.textContent, contrast(node)])
  for (const node of document.querySelectorAll('input')) {
    found.push([node.id, contrast(node)], [node.placeholder, contrast(node, '::placeholder')])
  }
  return { count: found.length, faint: found.filter(([, contrast]) => contrast < 4.5) }
})()`
