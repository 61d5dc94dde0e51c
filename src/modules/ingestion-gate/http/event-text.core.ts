/**
 * The text of an event from the bytes that were sent. Bytes that are no UTF-8 become halves of surrogate pairs, which no
 * event may have: such an event is judged and refused like every other one. A replacement character in their place could be
 * admitted, and would be something that nobody has sent.
 */
export function eventText(bytes: Buffer, wellFormed: boolean): string {
  const text = bytes.toString('utf8');
  return wellFormed ? text : text.replaceAll('\uFFFD', '\uDCFF');
}
