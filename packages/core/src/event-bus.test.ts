import { describe, expect, it } from "vitest";
import { createEventBus } from "./event-bus.js";
import { numberedEvent } from "./testing/index.js";

describe("the event bus", () => {
  it("tells listeners of one type and of all, until they stop listening", () => {
    const bus = createEventBus();
    const heard: string[] = [];
    const stop = bus.on("error", ({ message }) => heard.push(`error ${message}`));
    bus.on("abort", () => heard.push("abort"));
    const stopAny = bus.onAny(({ type }) => heard.push(`any ${type}`));
    bus.emit(numberedEvent(1, "one"));
    stop();
    bus.emit(numberedEvent(2, "two"));
    stopAny();
    bus.emit(numberedEvent(3, "three"));
    expect(heard).toEqual(["error one", "any error", "any error"]);
  });

  it("reports a listener that keeps throwing on errors once, and comes to an end", () => {
    const bus = createEventBus();
    const heard: string[] = [];
    bus.on("error", () => {
      throw new Error("broken");
    });
    bus.on("error", ({ message }) => heard.push(message));
    bus.emit(numberedEvent(1, "one"));
    bus.emit(numberedEvent(2, "two"));
    expect(heard).toEqual(['a listener of "error" threw: broken', "one", "two"]);
  });
});
