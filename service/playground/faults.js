// What the API says is wrong, by the field that it is about, in the API's own words.
import { make } from "./dom.js";

const SHOWN = 20;

export class Faults {
  /**
   * @param {Record<string, HTMLElement>} controls by the JSON pointer whose faults, and those below it, they show
   * @param {HTMLElement} rest shows what is about none of them
   * @param {(fault: {pointer: string}) => (() => void) | null} [jump] what leads to a fault's place in its field
   */
  constructor(controls, rest, jump = () => null) {
    this.rest = rest;
    this.jump = jump;
    this.places = new Map();
    for (const [pointer, control] of Object.entries(controls)) {
      const list = make("ul", { class: "faults", id: `${control.id}-faults`, "aria-live": "polite" });
      const known = [...this.places.values()].find((place) => place.control === control);
      if (!known) control.closest(".field").append(list);
      this.places.set(pointer, known ?? { control, list, described: control.getAttribute("aria-describedby") });
    }
  }

  clear() {
    this.rest.hidden = true;
    this.rest.textContent = "";
    for (const { control, list, described } of this.places.values()) {
      list.replaceChildren();
      control.removeAttribute("aria-invalid");
      if (described) control.setAttribute("aria-describedby", described);
      else control.removeAttribute("aria-describedby");
    }
  }

  /** @param {import("./api.js").Problem} problem */
  show(problem) {
    this.clear();
    const untold = [];
    const byPlace = new Map();
    for (const fault of problem.faults) {
      const place = this.placeOf(fault.pointer);
      if (place) byPlace.set(place, [...(byPlace.get(place) ?? []), fault]);
      else untold.push(fault);
    }
    for (const [{ control, list, described }, faults] of byPlace) {
      list.replaceChildren(...faults.slice(0, SHOWN).map((fault) => this.item(fault)));
      if (faults.length > SHOWN) list.append(make("li", {}, `and ${faults.length - SHOWN} more`));
      control.setAttribute("aria-invalid", "true");
      control.setAttribute("aria-describedby", [described, list.id].filter(Boolean).join(" "));
    }
    if (untold.length || !problem.faults.length) {
      this.rest.textContent = untold.map(({ pointer, message }) => `${pointer}: ${message}`).join("; ") || problem.message;
      this.rest.hidden = false;
    }
  }

  /** That of the longest pointer which is `pointer`, or leads to it. */
  placeOf(pointer) {
    for (let end = pointer.length; end >= 0; end = pointer.lastIndexOf("/", end - 1)) {
      const place = this.places.get(pointer.slice(0, end));
      if (place) return place;
      if (end === 0) break;
    }
    return null;
  }

  item(fault) {
    const jump = this.jump(fault);
    const where = jump
      ? make("button", { type: "button", class: "place", click: jump }, fault.pointer)
      : make("span", { class: "place" }, fault.pointer);
    return make("li", {}, fault.pointer ? where : null, fault.pointer ? " " : null, fault.message);
  }
}
