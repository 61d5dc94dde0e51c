/**
 * Texts as small numbers, counted: cards and merchants come again, and a number in an array costs a tenth of a text in an object.
 * A text whose last user lets go of it is forgotten, its number used again.
 */
export class Dictionary {
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];
  readonly #uses: number[] = [];
  readonly #free: number[] = [];

  /** @returns the number of the text, −1 when nobody holds it */
  find(text: string): number {
    return this.#ids.get(text) ?? -1;
  }

  hold(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) {
      this.#uses[known] = (this.#uses[known] ?? 0) + 1;
      return known;
    }
    const id = this.#free.pop() ?? this.#texts.length;
    this.#ids.set(text, id);
    this.#texts[id] = text;
    this.#uses[id] = 1;
    return id;
  }

  release(id: number): void {
    const uses = (this.#uses[id] ?? 0) - 1;
    this.#uses[id] = uses;
    if (uses > 0) return;
    this.#ids.delete(this.textOf(id));
    this.#texts[id] = '';
    this.#free.push(id);
  }

  textOf(id: number): string {
    return this.#texts[id] ?? '';
  }

  get size(): number {
    return this.#ids.size;
  }
}
