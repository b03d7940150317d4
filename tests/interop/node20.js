// What the packages take from Node 22 and Node 20, which stable distributions ship, lacks. Imported first.

Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((...settle) => { [resolve, reject] = settle })
  return { promise, resolve, reject }
}
