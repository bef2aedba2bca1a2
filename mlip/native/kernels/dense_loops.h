// Dense layers, some rows at a time: what lies between the layer's tensors stays in the cache.
#pragma once

#include <memory>
#include <vector>

#include "activation.h"
#include "dense_kernel.h"
#include "matrix_tile.h"

namespace vitreous {

template <class T>
struct DenseLoops {
  using V = Vector<T>;
  using Layer = DenseLayer<T>;
  using Given = DenseParts<const T>;
  using Result = DenseParts<T>;
  static constexpr std::int64_t tile = dense_tile;
  static_assert(tile % tile_rows == 0);

  static void forward(std::int64_t begin, std::int64_t end, const Layer& layer, Given x, Result y, T* z) {
    Tile xs(layer.inputs), zs(layer.outputs);
    over_tiles(begin, end, [&](std::int64_t e, std::int64_t rows) {
      const Strided<T> a = xs.borrow(x, e, rows);
      if (!layer.activated) {
        zs.multiply_into(y, e, rows, a, layer.w);
        return;
      }
      zs.template multiply<false>(a, layer.w);
      zs.write({z, layer.outputs, layer.outputs}, 0, e, rows);
      zs.each([](V& at) { at = Silu<T>(at).value(); });
      zs.write(y, e, rows);
    });
  }

  static void backward(std::int64_t begin, std::int64_t end, const Layer& layer, Given x, Given g, Result gx, T* gw) {
    Tile xs(layer.inputs), gs(layer.outputs), gxs(layer.inputs), zs(layer.outputs);
    Sum sum(layer, gw);
    over_tiles(begin, end, [&](std::int64_t e, std::int64_t rows) {
      gs.read(g, e, rows);
      if (layer.activated) {
        zs.read(layer.z, e, rows);
        gs.each(zs, [](V& at, V z_at) { at *= Silu<T>(z_at).first(); });
      }
      gxs.multiply_into(gx, e, rows, gs.strided(), layer.transposed);
      if (gw) xs.read(x, e, rows);
      sum.add(xs, gs);
    });
    sum.finish();
  }

  // With u = hx W + x hW and gz = g f'(z) the scalar product is <gz, u>; dz = g f''(z) u.
  static void second(std::int64_t begin, std::int64_t end, const Layer& layer, Given x, Given g, Given hx,
                     const DenseMatrix<T>& hw, const DenseMatrix<T>& hw_transposed, Result dg, Result dx, T* dw) {
    const std::int64_t K = layer.inputs, N = layer.outputs;
    Tile xs(K), hs(K), dxs(K), gs(N), us(N), zs(N);
    Sum sum(layer, dw);
    over_tiles(begin, end, [&](std::int64_t e, std::int64_t rows) {
      xs.read(x, e, rows);
      hs.read(hx, e, rows);
      gs.read(g, e, rows);
      us.template multiply<false>(hs.strided(), layer.w);
      if (hw.numbers) us.template multiply<true>(xs.strided(), hw);
      dxs.clear();
      if (layer.activated) {
        zs.read(layer.z, e, rows);
        zs.each(us, gs, [](V& at, V& u, V& g_at) {  // leaves dz, dg and gz
          const Silu<T> f(at);
          at = g_at * f.second() * u;
          u *= f.first();
          g_at *= f.first();
        });
        dxs.template multiply<true>(zs.strided(), layer.transposed);
        sum.add(xs, zs);
      }
      us.write(dg, e, rows);
      if (hw.numbers) dxs.template multiply<true>(gs.strided(), hw_transposed);
      dxs.write(dx, e, rows);
      sum.add(hs, gs);
    });
    sum.finish();
  }

  static constexpr DenseKernel<T> kernel = {sizeof(T), lanes<T>, forward, backward, second};

 private:
  template <class Body>
  static void over_tiles(std::int64_t begin, std::int64_t end, Body body) {
    for (std::int64_t e = begin; e < end; e += tile) body(e, end - e < tile ? end - e : tile);
  }

  // Rows of numbers. Columns beyond those of the tensors do not matter; rows beyond them are zeros.
  struct Tile {
    std::int64_t width, row, size;
    std::unique_ptr<T[]> numbers;  // not filled by zeros, which would take longer than many a product

    explicit Tile(std::int64_t width)
        : width(width),
          row(round_up(round_up(width, lanes<T>), tile_rows)),
          size(tile * row + lanes<T>),
          numbers(new T[size]) {}

    Strided<T> strided() const { return {numbers.get(), row, 1}; }
    void clear() { std::memset(numbers.get(), 0, size * sizeof(T)); }
    void read(Given parts, std::int64_t e, std::int64_t rows) {
      if (rows < tile) clear();
      std::int64_t at = 0;
      for (int p = 0; p < parts.count; ++p) {
        copy(parts.part[p].rows + e * parts.part[p].row_stride, parts.part[p].row_stride, numbers.get() + at, row,
             parts.part[p].width, rows);
        at += parts.part[p].width;
      }
    }
    // The rows where they are, if that can be, else read.
    Strided<T> borrow(Given parts, std::int64_t e, std::int64_t rows) {
      if (parts.count == 1 && rows == tile) {
        return {parts.part[0].rows + e * parts.part[0].row_stride, parts.part[0].row_stride, 1};
      }
      read(parts, e, rows);
      return strided();
    }
    void read(const T* rows_of_all, std::int64_t e, std::int64_t rows) {
      const DensePart<const T> all{rows_of_all, width, width};
      read(Given{&all, 1}, e, rows);
    }
    void write(Result parts, std::int64_t e, std::int64_t rows) const {
      std::int64_t at = 0;
      for (int p = 0; p < parts.count; at += parts.part[p++].width) write(parts.part[p], at, e, rows);
    }
    void write(const DensePart<T>& part, std::int64_t at, std::int64_t e, std::int64_t rows) const {
      copy(numbers.get() + at, row, part.rows + e * part.row_stride, part.row_stride, part.width, rows);
    }
    template <bool add>
    void multiply(Strided<T> a, const DenseMatrix<T>& b) {
      multiply_tile<add, T>(tile, b.row_stride, b.rows, a, b.numbers, b.row_stride, numbers.get(), row);
    }
    // The product right where it belongs, if whole vectors fit there, else by way of this tile.
    void multiply_into(Result parts, std::int64_t e, std::int64_t rows, Strided<T> a, const DenseMatrix<T>& b) {
      bool fit = rows == tile;
      for (int p = 0; p < parts.count; ++p) fit = fit && parts.part[p].width % lanes<T> == 0;
      if (!fit) {
        multiply<false>(a, b);
        write(parts, e, rows);
        return;
      }
      std::int64_t at = 0;
      for (int p = 0; p < parts.count; ++p) {
        const DensePart<T>& part = parts.part[p];
        multiply_tile<false, T>(tile, part.width, b.rows, a, b.numbers + at, b.row_stride,
                                part.rows + e * part.row_stride, part.row_stride);
        at += part.width;
      }
    }
    template <class Body>
    void each(Body body) {
      for (std::int64_t at = 0; at < tile * row; at += lanes<T>) change(at, body);
    }
    template <class Body>
    void each(const Tile& other, Body body) {
      for (std::int64_t at = 0; at < tile * row; at += lanes<T>) {
        const V given = load(other, at);
        change(at, [&](V& mine) { body(mine, given); });
      }
    }
    template <class Body>
    void each(Tile& second, Tile& third, Body body) {
      for (std::int64_t at = 0; at < tile * row; at += lanes<T>) {
        change(at, [&](V& a) { second.change(at, [&](V& b) { third.change(at, [&](V& c) { body(a, b, c); }); }); });
      }
    }

   private:
    static V load(const Tile& from, std::int64_t at) { return Channels<T, lanes<T>>{0}.load(from.numbers.get() + at); }
    template <class Body>
    void change(std::int64_t at, Body body) {
      V v = load(*this, at);
      body(v);
      Channels<T, lanes<T>>{0}.store(numbers.get() + at, v);
    }
    static void copy(const T* from, std::int64_t from_row, T* to, std::int64_t to_row, std::int64_t width,
                     std::int64_t rows) {
      if (width == 0) return;  // without columns there may be no memory
      for (std::int64_t r = 0; r < rows; ++r) std::memcpy(to + r * to_row, from + r * from_row, width * sizeof(T));
    }
  };

  // Sum over tiles of x^T g, added to a gradient of W in the end.
  struct Sum {
    const Layer& layer;
    T* gw;
    std::int64_t depth, row;
    std::vector<T> numbers;

    Sum(const Layer& layer, T* gw)
        : layer(layer), gw(gw), depth(round_up(layer.inputs, tile_rows)), row(round_up(layer.outputs, lanes<T>)) {
      if (gw) numbers.assign(depth * row, T(0));
    }
    void add(const Tile& x, const Tile& g) {
      if (!gw) return;
      multiply_tile<true, T>(depth, row, tile, {x.numbers.get(), 1, x.row}, g.numbers.get(), g.row, numbers.data(),
                             row);
    }
    void finish() const {
      if (!gw) return;
      for (std::int64_t k = 0; k < layer.inputs; ++k) {
        for (std::int64_t n = 0; n < layer.outputs; ++n) gw[k * layer.outputs + n] += numbers[k * row + n];
      }
    }
  };
};

}  // namespace vitreous
